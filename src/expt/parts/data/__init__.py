"""Data: sources that load a Dataset. Nothing here imports TensorFlow."""
