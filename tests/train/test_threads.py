"""Tests that results do not depend on the number of cores, but on `loop.threads`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from expt.config.location import config_directory
from expt.config.schema import THREADS
from expt.errors import UserError
from expt.train import backend
from expt.train.backend import reserve_threads, start_tensorflow, threads_in_effect

SCRIPT = Path(__file__).with_name("model_digests.py")


def test_default_number_of_threads_is_that_of_the_config() -> None:
    text = (config_directory() / "loop" / "default.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(text)["threads"] == THREADS


def test_every_model_has_equal_bits_on_any_number_of_cores() -> None:
    """One core and one operation at a time differ more from a single run than a worker does."""
    cores = len(os.sched_getaffinity(0))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TF_NUM_")}
    processes = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), *map(str, given)],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for given in ((1, 1), (cores, cores))
    ]
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    one, other = map(json.loads, outputs)
    assert len(one) == len(set(one.values())) >= 9
    assert one == other


def test_number_of_threads_in_effect_can_be_set_again() -> None:
    start_tensorflow(0)
    assert threads_in_effect() == THREADS
    start_tensorflow(1, threads=THREADS)


def test_other_number_of_threads_is_an_error_once_tensorflow_has_started() -> None:
    start_tensorflow(0)
    with pytest.raises(
        UserError, match=r"loop.threads=7: .* with loop.threads=2, .* separate processes"
    ):
        start_tensorflow(0, threads=7)
    assert threads_in_effect() == THREADS


def test_users_thread_variable_has_no_effect_and_is_reported_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(backend, "_reserved", set())
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "5")
    monkeypatch.delitem(sys.modules, "tensorflow")
    for count in (3, 4):  # the jobs of a sweep, say
        reserve_threads(count)
        assert os.environ["TF_NUM_INTRAOP_THREADS"] == str(count)
    assert caplog.messages == ["TF_NUM_INTRAOP_THREADS=5 has no effect: loop.threads=3 decides."]
