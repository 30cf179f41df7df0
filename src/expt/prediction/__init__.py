"""Predictions and evaluations of a finished run, with raw inputs read as its training read them."""
