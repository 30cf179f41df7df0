"""The reading side: finding runs. Imports neither TensorFlow nor the training room."""
