"""Recording: the recorder protocol, and recorders for the journal, TensorBoard, MLflow, Visdom."""
