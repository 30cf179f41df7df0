"""A trained model for other programs: one file a format, with `write` and `load`."""
