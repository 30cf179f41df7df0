"""The MLflow mirror of runs and sweeps."""

from expt.record.mlflow.recorder import MLflowRecorder

__all__ = ["MLflowRecorder"]
