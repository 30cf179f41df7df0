"""The columns of TensorBoard's HParams tab and their order."""

from collections import Counter
from collections.abc import Collection, Mapping
from math import isfinite
from typing import Any

from google.protobuf.struct_pb2 import Value
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams.plugin_data_pb2 import SessionStartInfo

from expt.record.hparams import MISSING
from expt.record.tensorboard import BEST

_FIRST = 5
"""The number of parameters that TensorBoard shows unless the user selects more."""

_KINDS = ("best/", "test/", "val/")  # in the order of their columns


def unify_parameters(sessions: Mapping[str, SessionStartInfo]) -> dict[str, SessionStartInfo]:
    """Returns sessions that all have the same parameters, with values of one type per parameter.

    Parallel coordinates have no line for a run that lacks a value, and a column of both numbers
    and texts is not sorted properly. Trials are named after the runs.

    Args:
        sessions: The session of each run, by TensorBoard's name of the run.
    """
    keys = sorted({key for session in sessions.values() for key in session.hparams})
    missing = Value(string_value=MISSING)
    columns = {
        key: _as_one_kind([s.hparams.get(key, missing) for s in sessions.values()]) for key in keys
    }
    names, unified = _trial_names(sessions), {}
    for index, (run, session) in enumerate(sessions.items()):
        unified[run] = SessionStartInfo()
        unified[run].CopyFrom(session)
        unified[run].group_name = names[run]
        for key, values in columns.items():
            unified[run].hparams[key].CopyFrom(values[index])
    return unified


def make_experiment(
    sessions: Mapping[str, SessionStartInfo], tags: Mapping[str, Collection[str]]
) -> Any:
    """Returns the columns of the table, as an `api_pb2.Experiment`.

    TensorBoard shows the first five parameters, and the metrics to the right of them. If fewer
    than five parameters vary, only these are columns, since more would push the metrics off the
    screen.

    Args:
        sessions: The session of each run, all with the same parameters.
        tags: The tags of each run's scalars.
    """
    everything = sorted(next(iter(sessions.values())).hparams)
    keys = _varying(sessions) or everything
    if len(keys) >= _FIRST:
        keys = list(dict.fromkeys([*keys, *everything]))
    return api_pb2.Experiment(
        hparam_infos=[
            _parameter(key, [s.hparams[key] for s in sessions.values()], key in keys[:_FIRST])
            for key in keys
        ],
        metric_infos=[
            api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag), display_name=_metric_name(tag))
            for tag in _metrics(tags)
        ],
    )


def _trial_names(runs: Collection[str]) -> dict[str, str]:
    """Returns the names of trials: without the name of the sweep, unless two would be equal.

    The name of a sweep is long enough to fill the column alone.
    """
    # A run that is not part of a sweep has its HParams in its folder of validation.
    names = {run: run.removesuffix("/val") for run in runs}
    short = {run: name.rpartition("/")[2] for run, name in names.items()}
    numbers = Counter(short.values())
    return {run: short[run] if numbers[short[run]] == 1 else name for run, name in names.items()}


def _as_one_kind(values: list[Value]) -> list[Value]:
    kinds = {value.WhichOneof("kind") for value in values}
    # The server answers in JSON, which has neither NaN nor infinity.
    if len(kinds) == 1 and all(isfinite(value.number_value) for value in values):
        return values
    return [Value(string_value=_as_text(value)) for value in values]


def _as_text(value: Value) -> str:
    if value.HasField("number_value"):
        return f"{value.number_value:.10g}"
    return str(value.bool_value).lower() if value.HasField("bool_value") else value.string_value


def _varying(sessions: Mapping[str, SessionStartInfo]) -> list[str]:
    """Returns the parameters that vary within a sweep, those of the newest sweep first.

    If there is none, they are the parameters that differ between any of the runs.
    """
    sweeps: dict[str, list[SessionStartInfo]] = {}
    for run, session in sessions.items():
        sweeps.setdefault(run.rpartition("/")[0], []).append(session)
    newest = sorted(sweeps.values(), key=lambda runs: -max(one.start_time_secs for one in runs))
    found = {key: None for runs in newest for key in _differing(runs)}
    return list(found) or _differing(list(sessions.values()))


def _differing(sessions: list[SessionStartInfo]) -> list[str]:
    return [key for key in sorted(sessions[0].hparams) if _differs(sessions, key)]


def _differs(sessions: list[SessionStartInfo], key: str) -> bool:
    return len({_as_text(session.hparams[key]) for session in sessions}) > 1


def _parameter(key: str, values: list[Value], is_first: bool) -> Any:
    # TensorBoard sorts the parameters marked as different first, and shows the first five.
    info = api_pb2.HParamInfo(name=key, differs=is_first)
    if values[0].HasField("number_value"):
        numbers = [value.number_value for value in values]
        info.type = api_pb2.DATA_TYPE_FLOAT64
        info.domain_interval.min_value, info.domain_interval.max_value = min(numbers), max(numbers)
        return info
    is_bool = values[0].HasField("bool_value")
    info.type = api_pb2.DATA_TYPE_BOOL if is_bool else api_pb2.DATA_TYPE_STRING
    for value in sorted({_as_text(value) for value in values}):
        info.domain_discrete.values.add().CopyFrom(
            Value(bool_value=value == "true") if is_bool else Value(string_value=value)
        )
    return info


def _metric_name(tag: str) -> str:
    """Returns the full name of a metric; tags of validation lack the name of the split."""
    name = tag.removeprefix(BEST)
    return name if name != tag or tag.startswith(("test/", "perf/")) else f"val/{tag}"


def _metrics(tags: Mapping[str, Collection[str]]) -> list[str]:
    """Returns the tags in the order of their columns: those that most runs have first."""
    counts = Counter(tag for run in tags for tag in tags[run])

    def rank(tag: str) -> tuple[bool, int, int, str]:
        name = _metric_name(tag)
        kind = next((i for i, kind in enumerate(_KINDS) if name.startswith(kind)), len(_KINDS))
        place = 0 if name.endswith("/loss") else 2 if name == "best/step" else 1
        return 2 * counts[tag] < len(tags), kind, place, name

    return sorted(counts, key=rank)
