"""expt: config-driven experiments on TensorFlow.

Importing this package is cheap: TensorFlow and MLflow are imported when a run starts.
"""

__version__ = "0.1.0"
