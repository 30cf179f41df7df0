"""Composition, schema, checks, instantiation and hashes of configs.

No other package imports Hydra or OmegaConf, so that a new version of either changes this one alone.
"""
