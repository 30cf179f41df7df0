"""The web servers that `expt.ui` starts: TensorBoard and MLflow."""
