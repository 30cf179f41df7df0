"""The mirror of runs and sweeps in MLflow, and the recorder that uses it."""

from expt.record.mlflow.recorder import MLflowRecorder

__all__ = ["MLflowRecorder"]
