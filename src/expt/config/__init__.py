"""Config: the schema, where conf/ is, checks and hashes. The only room that knows Hydra."""
