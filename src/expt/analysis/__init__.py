"""Comparison of recorded runs: selection, statistics, tables, plots, and the HTML report.

Everything is read from the files of a run. Nothing here imports TensorFlow or MLflow, so that the
commands that only read answer within a second.
"""
