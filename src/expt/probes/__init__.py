"""Probes: what looks inside a model while it trains."""
