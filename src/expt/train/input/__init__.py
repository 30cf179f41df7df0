"""The input pipeline: the order of the examples, reading them, and their augmentation."""
