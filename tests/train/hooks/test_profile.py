from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tensorflow as tf

from expt.config.cadence import Cadence
from expt.train.hooks import Every
from expt.train.hooks.profile import profiling
from expt.train.timeline import Timeline


def traces(directory: Path) -> list[Path]:
    return list(directory.glob("plugins/profile/*/*.xplane.pb"))


def moment(step: int, total_steps: int = 20) -> Any:
    timeline = Timeline(0, total_steps, 10, 10, 1, Cadence(None))
    return SimpleNamespace(step=step, is_last=step == total_steps, timeline=timeline)


def call(hook: Every, *steps: int, total_steps: int = 20) -> None:
    """Calls a hook at the given steps if it is due there."""
    for step in steps:
        at = moment(step, total_steps)
        if hook.is_due(at):
            hook(at)
        tf.constant(1.0) + 1.0


def test_steps_after_the_first_ones_are_traced_once(tmp_path: Path) -> None:
    with profiling(3, tmp_path) as (hook,):
        call(hook, 1, 2, 3, 4, 5)
        assert traces(tmp_path) == []
        call(hook, 6)
        assert len(found := traces(tmp_path)) == 1
        call(hook, *range(7, 21))
    assert traces(tmp_path) == found


def test_trace_ends_with_training(tmp_path: Path) -> None:
    with profiling(3, tmp_path) as (hook,):
        call(hook, *range(1, 6), total_steps=5)
        assert len(traces(tmp_path)) == 1


def test_failure_ends_the_trace(tmp_path: Path) -> None:
    def train() -> None:
        with profiling(3, tmp_path) as (hook,):
            call(hook, 1, 2, 3, 4)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train()
    assert len(traces(tmp_path)) == 1


def test_short_run_has_no_trace(tmp_path: Path) -> None:
    with profiling(3, tmp_path) as (hook,):
        call(hook, 1, 2, 3, total_steps=3)
    assert traces(tmp_path) == []


def test_there_is_no_profile_hook_by_default(tmp_path: Path) -> None:
    with profiling(None, tmp_path) as hooks:
        assert hooks == []
