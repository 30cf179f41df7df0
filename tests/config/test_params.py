from typing import Any

from expt.config.compose import compose_jobs
from expt.config.params import make_params


def test_params_are_choices_and_values() -> None:
    (job,), _ = compose_jobs(["act=tanh", "model.units=[3,4]"], None, multirun=False)
    params: dict[str, Any] = make_params(job)
    assert params["act"] == "tanh"
    assert params["act.activation"] == "tanh"
    assert params["model.units"] == [3, 4]
    assert params["seed"] == 0
    assert not any(key.rpartition(".")[2].startswith("_") for key in params)
