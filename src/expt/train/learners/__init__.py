"""Kinds of training."""
