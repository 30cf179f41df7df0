"""The input pipeline: which examples a step sees, and their augmentation."""
