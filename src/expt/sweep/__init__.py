"""Sweeps: plan many jobs, train them in worker processes, and mirror them to MLflow."""
