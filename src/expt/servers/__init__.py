"""Web servers that show the records: TensorBoard and MLflow."""
