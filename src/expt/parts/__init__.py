"""Parts that a config chooses from, as far as Keras lacks them: losses, metrics, models, data."""
