"""Code that a saved model needs to map raw values to named predictions; MLflow models ship it."""
