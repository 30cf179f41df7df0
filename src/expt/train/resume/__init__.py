"""Continuing a run in place."""
