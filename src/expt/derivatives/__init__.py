"""Derivatives of activations, losses and optimizers' paths, as `expt.gradients` shows them."""
