"""Exports of a trained model for other programs: one module per format, with `write` and `load`."""
