"""What a machine has to train on, as its environment and its programs tell."""

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
    """Makes the `nvidia-smi` of a path that has no other program but a shell's."""
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
        ("0,-1,1", ["0"]),  # what comes after it is not seen by CUDA either
    ],
)
def test_what_is_visible_is_taken(
    program: Program, monkeypatch: pytest.MonkeyPatch, visible: str, expected: list[str]
) -> None:
    program("echo 'GPU 7: another one'")
    monkeypatch.setenv(VISIBLE, visible)
    assert gpus() == expected


def test_else_all_are_that_the_driver_lists(program: Program) -> None:
    program(f'[ "$*" = -L ] && echo "{LISTED}"')
    assert gpus() == ["0", "1"]


def test_without_a_driver_there_are_none(program: Program) -> None:
    assert gpus() == []
    program("echo 'NVIDIA-SMI has failed: no driver' >&2; exit 9")
    assert gpus() == []


def test_each_gpu_goes_to_one_worker() -> None:
    assert environments(2, ["3", "7"]) == [{VISIBLE: "3"}, {VISIBLE: "7"}]
    assert environments(1, ["3", "7"]) == [{VISIBLE: "3"}]


def test_more_workers_share_them_in_turn() -> None:
    given = environments(5, ["3", "7"])
    assert [each[VISIBLE] for each in given] == ["3", "7", "3", "7", "3"]
    assert all(each["TF_FORCE_GPU_ALLOW_GROWTH"] == "true" for each in given)


def test_without_gpus_nothing_is_said_of_them() -> None:
    assert environments(2, []) == [{}, {}]
