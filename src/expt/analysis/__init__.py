"""Comparing runs by their files: statistics, tables, plots, a page; no TensorFlow, no MLflow."""
