"""The columns of the HParams tab."""

from collections.abc import Mapping

import pytest
from google.protobuf.struct_pb2 import Value
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams.plugin_data_pb2 import SessionStartInfo

from expt.servers.columns import make_experiment, unify_parameters

Plain = bool | float | str


def _session(hparams: Mapping[str, Plain], started: float = 0.0) -> SessionStartInfo:
    session = SessionStartInfo(group_name="default/name", start_time_secs=started)
    for key, value in hparams.items():
        if isinstance(value, bool):
            session.hparams[key].bool_value = value
        elif isinstance(value, str):
            session.hparams[key].string_value = value
        else:
            session.hparams[key].number_value = value
    return session


def _plain(value: Value) -> Plain:
    kind: Plain = getattr(value, value.WhichOneof("kind") or "")
    return kind


def _values(session: SessionStartInfo) -> dict[str, Plain]:
    return {key: _plain(value) for key, value in session.hparams.items()}


def test_missing_values_are_explicit_and_columns_have_one_type() -> None:
    sessions = unify_parameters(
        {
            "a/val": _session({"seed": 0, "loop.steps": 9, "model.residual": True}),
            "b/val": _session({"seed": 1, "loop.steps": "null"}),
        }
    )
    assert _values(sessions["a/val"]) == {
        "seed": 0.0,
        "loop.steps": "9",
        "model.residual": "true",
    }
    assert _values(sessions["b/val"]) == {
        "seed": 1.0,
        "loop.steps": "null",
        "model.residual": "none",
    }


_VALUES = st.booleans() | st.floats() | st.sampled_from(["", "relu", "none"])


@settings(max_examples=50)
@given(st.lists(st.dictionaries(st.sampled_from("abc"), _VALUES), min_size=1, max_size=5))
def test_all_runs_have_the_same_keys_and_columns_one_type(hparams: list[dict[str, Plain]]) -> None:
    given_sessions = {f"run-{i}/val": _session(one) for i, one in enumerate(hparams)}
    sessions = unify_parameters(given_sessions)
    keys = {key for one in hparams for key in one}
    assert all(set(session.hparams) == keys for session in sessions.values())
    for key in keys:
        kinds = {session.hparams[key].WhichOneof("kind") for session in sessions.values()}
        assert len(kinds) == 1
    infos = make_experiment(sessions, {}).hparam_infos
    assert {info.name for info in infos} <= keys
    assert sum(info.differs for info in infos) <= 5
    assert api_pb2.DATA_TYPE_UNSET not in {info.type for info in infos}


def test_trials_have_unique_names_of_runs() -> None:
    runs = ["act-seed/relu-s0", "act-seed/tanh-s0", "loss/relu-s0", "mlp/val"]
    sessions = unify_parameters({run: _session({}) for run in runs})
    names = [session.group_name for session in sessions.values()]
    assert names == ["act-seed/relu-s0", "tanh-s0", "loss/relu-s0", "mlp"]


def test_parameters_that_vary_in_the_newest_sweep_come_first() -> None:
    same: dict[str, Plain] = {"act": "relu", "loss": "mse"}
    runs = {
        f"old/{seed}": _session({**same, "data": "iris", "seed": seed, "z": seed}, 1.0)
        for seed in (0, 1)
    }
    runs |= {
        f"new/{rate}": _session(
            {**same, "data": "digits", "optimizer.learning_rate": rate, "seed": 0}, 2.0
        )
        for rate in (0.1, 0.01)
    }
    experiment = make_experiment(unify_parameters(runs), {})
    names = [info.name for info in experiment.hparam_infos]
    assert names == ["optimizer.learning_rate", "seed", "z"]
    assert all(info.differs for info in experiment.hparam_infos)


def test_columns_of_single_runs_are_the_differing_parameters() -> None:
    runs = {
        f"{name}/val": _session({"data": name, "act": "relu", "seed": 0})
        for name in ("iris", "digits")
    }
    experiment = make_experiment(unify_parameters(runs), {})
    assert [info.name for info in experiment.hparam_infos] == ["data"]


def test_columns_of_one_run_are_all_parameters() -> None:
    experiment = make_experiment(unify_parameters({"a/val": _session({"seed": 0, "act": "x"})}), {})
    assert [info.name for info in experiment.hparam_infos] == ["act", "seed"]
    interval = experiment.hparam_infos[1].domain_interval
    assert (interval.min_value, interval.max_value) == (0.0, 0.0)


@pytest.mark.parametrize("num_varying", [5, 7])
def test_five_parameters_are_shown_by_default(num_varying: int) -> None:
    keys = [f"key{i}" for i in range(num_varying)]
    runs = {f"sweep/{i}": _session({**dict.fromkeys(keys, i), "a": 1}) for i in range(2)}
    infos = make_experiment(unify_parameters(runs), {}).hparam_infos
    assert [info.name for info in infos] == [*keys, "a"]  # `a` does not vary and is last
    assert [info.differs for info in infos] == [index < 5 for index in range(num_varying + 1)]


def test_metrics_have_full_names_and_best_values_come_first() -> None:
    best = ["summary/best/step", "summary/best/val/accuracy", "summary/best/val/loss"]
    tags = [*best, "accuracy", "loss", "perf/steps_per_s", "test/accuracy", "test/loss"]
    other = ["summary/best/val/rmse", "loss"]
    runs = {name: _session({}) for name in ("a/val", "b/val", "c/val")}
    experiment = make_experiment(runs, {"a/val": tags, "b/val": tags, "c/val": other})
    assert [(info.name.tag, info.display_name) for info in experiment.metric_infos] == [
        ("summary/best/val/loss", "best/val/loss"),
        ("summary/best/val/accuracy", "best/val/accuracy"),
        ("summary/best/step", "best/step"),
        ("test/loss", "test/loss"),
        ("test/accuracy", "test/accuracy"),
        ("loss", "val/loss"),
        ("accuracy", "val/accuracy"),
        ("perf/steps_per_s", "perf/steps_per_s"),
        ("summary/best/val/rmse", "best/val/rmse"),
    ]
