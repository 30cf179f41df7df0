"""Learners: supervised training, reconstruction and adversarial training."""
