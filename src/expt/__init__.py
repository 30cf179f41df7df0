"""expt: config-driven experiments with TensorFlow.

Importing this package is cheap: TensorFlow and MLflow are imported only when a run starts.
"""

__version__ = "0.1.0"
