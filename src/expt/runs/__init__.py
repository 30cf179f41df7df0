"""Runs and sweeps on disk: records, locks, names, and finding them. Never imports TensorFlow."""
