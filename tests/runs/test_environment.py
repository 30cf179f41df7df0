import os
import subprocess
import sys
import time

import psutil
import pytest

from expt.runs.environment import (
    environment,
    forget_peak_memory,
    machine,
    peak_memory,
    process,
)


def test_machine() -> None:
    recorded = machine()
    assert set(recorded) == {"host", "platform", "cpu", "cpus", "cores", "memory"}
    assert recorded["cpu"]
    assert recorded["cpus"] == os.cpu_count()
    assert recorded["memory"] == psutil.virtual_memory().total


def test_process_is_this_one() -> None:
    recorded = process()
    assert (recorded["host"], recorded["id"]) == (machine()["host"], os.getpid())
    assert 0 < time.time() - recorded["started"] < 24 * 3600


def test_peak_memory_stays_after_memory_is_freed() -> None:
    before, now = peak_memory(), psutil.Process().memory_info().rss
    assert before is not None
    assert before >= 0.9 * now
    held = bytearray(os.urandom(1)) * (before - now + 100_000_000)
    size = len(held)
    del held
    after = peak_memory()
    assert after is not None
    assert 50_000_000 < after - before < size


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no /proc")
def test_peak_memory_can_be_reset() -> None:
    held = bytes(100_000_000)
    before = peak_memory()
    del held
    assert peak_memory() == before
    forget_peak_memory()
    after = peak_memory()
    assert before is not None
    assert after is not None
    assert after < before - 50_000_000


def test_peak_memory_excludes_that_of_parent_process() -> None:
    held = bytearray(b"1") * 300_000_000
    code = "from expt.runs.environment import peak_memory; print(peak_memory())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 1_000_000 < int(done.stdout) < len(held)


def test_environment_has_relevant_variables_without_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = {
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "XLA_FLAGS": "--a",
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONHASHSEED": "0",
        "EXPT_ALLOW": "mine",
    }
    hidden = {"NVIDIA_API_KEY": "short", "MY_TOKEN": "hunter22", "HOME": "/home/me", "TFX": "1"}
    for name, value in {**given, **hidden, "KERAS_URL": "http://a:b@c/hunter22"}.items():
        monkeypatch.setenv(name, value)
    recorded = environment()
    assert given.items() <= recorded.items()
    assert not hidden.keys() & recorded.keys()
    assert recorded["KERAS_URL"] == "http://***@c/***"
