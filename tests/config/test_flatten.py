from expt.config.flatten import flatten


def test_flatten_joins_keys_and_omits_declarations() -> None:
    config = {"a": {"_target_": "t", "_tasks_": ["x"], "b": {"c": [1, 2]}}, "d": None}
    assert flatten(config) == {"a._target_": "t", "a.b.c": [1, 2], "d": None}
