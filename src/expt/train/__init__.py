"""Training: the step, the blocks, the loop and its state."""
