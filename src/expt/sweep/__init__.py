"""Sweeps: their plans, the processes that train their jobs, and Hydra's launcher for them."""
