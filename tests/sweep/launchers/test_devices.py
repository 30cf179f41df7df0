"""Tests of finding the GPUs of a machine and assigning them to workers."""

from collections.abc import Callable
from pathlib import Path

import pytest

from expt.sweep.launchers.devices import VISIBLE, environments, gpus

Program = Callable[[str], None]
LISTED = """GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5d5ba0d6)
  MIG 1g.5gb      Device  0: (UUID: MIG-c6d4f1ef)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-d0c2f2a1)
"""


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Program:
    """A function that makes an `nvidia-smi` with a given script, the only program on the PATH."""
    monkeypatch.delenv(VISIBLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))

    def make(script: str) -> None:
        file = tmp_path / "nvidia-smi"
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    return make


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        ("0,1", ["0", "1"]),
        ("1", ["1"]),
        (" 2 , 0 ", ["2", "0"]),
        ("GPU-5d5ba0d6,MIG-c6d4f1ef", ["GPU-5d5ba0d6", "MIG-c6d4f1ef"]),
        ("", []),
        ("-1", []),
        ("0,-1,1", ["0"]),  # CUDA ignores everything after -1 as well
    ],
)
def test_visible_gpus_are_used(
    program: Program, monkeypatch: pytest.MonkeyPatch, visible: str, expected: list[str]
) -> None:
    program("echo 'GPU 7: another one'")
    monkeypatch.setenv(VISIBLE, visible)
    assert gpus() == expected


def test_gpus_are_listed_by_driver(program: Program) -> None:
    program(f'[ "$*" = -L ] && echo "{LISTED}"')
    assert gpus() == ["0", "1"]


def test_no_gpus_without_driver(program: Program) -> None:
    assert gpus() == []
    program("echo 'NVIDIA-SMI has failed: no driver' >&2; exit 9")
    assert gpus() == []


def test_each_gpu_has_one_worker() -> None:
    assert environments(2, ["3", "7"]) == [{VISIBLE: "3"}, {VISIBLE: "7"}]
    assert environments(1, ["3", "7"]) == [{VISIBLE: "3"}]


def test_more_workers_than_gpus_share_them() -> None:
    given = environments(5, ["3", "7"])
    assert [each[VISIBLE] for each in given] == ["3", "7", "3", "7", "3"]
    assert all(each["TF_FORCE_GPU_ALLOW_GROWTH"] == "true" for each in given)


def test_no_variables_without_gpus() -> None:
    assert environments(2, []) == [{}, {}]
