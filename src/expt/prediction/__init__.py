"""Predictions of a finished run: raw inputs read as its training read them, outputs written."""
