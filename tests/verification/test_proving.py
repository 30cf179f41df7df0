"""Tests of verifications without processes: the differences found, and the report on them."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from expt.errors import RunError, UserError
from expt.verification.processes import Outcome
from expt.verification.report import make_report
from verification.proving import ALLOW, DATA, LAYERS, prove

SMALL = ("data=iris", "model.units=[8]")


@pytest.fixture(autouse=True)
def _allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ALLOW.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    "overrides",
    [
        (
            *SMALL,
            "model.dropout=0.3",
            "optimizer.use_ema=true",
            "optimizer.gradient_accumulation_steps=3",
            "schedule=plateau",
            "schedule.patience=1",
            "schedule.min_change=10",
            "loop.patience=2",
        ),
        ("model=gan", "loss=binary_crossentropy", "model.generator_units=[8]", "loop.steps=9"),
        (*SMALL, "loop.compile=eager", "loop.steps=6"),
    ],
)
def test_repeat_and_resume_have_the_same_bits(tmp_path: Path, overrides: Sequence[str]) -> None:
    report, is_same = prove(overrides, tmp_path)
    assert is_same
    repeat, resume = report.splitlines()
    assert repeat.startswith("same bits: repeat: the data, ")
    assert resume.startswith("same bits: resume after step ")


@pytest.mark.parametrize(
    ("layer", "cause"),
    [
        ("generator", "tensor_flow_generator (TensorFlowGenerator) changes the variable StateVar"),
        ("operation", "stateful_operation (StatefulOperation) draws with RandomUniform"),
        ("numpy", "numpy_generator (NumpyGenerator) calls Python (PyFunc)"),
    ],
)
def test_state_that_a_resume_loses_is_named(tmp_path: Path, layer: str, cause: str) -> None:
    report, is_same = prove(
        [*LAYERS, f"+model.layers=[{layer}]", "data=iris", "loop.steps=9"], tmp_path
    )
    assert not is_same
    repeat, resume, data, journal, state, *causes = report.splitlines()
    assert repeat.startswith("same bits: repeat")
    assert resume.startswith("different: resume after step ")
    assert data == "  data     the same"
    after = int(resume.rpartition(" ")[2]) + 1
    assert journal.startswith(f"  journal  at step {after}: train/loss is ")
    assert state.startswith(f"  state    after step {after}: dense/kernel (network) in ")
    assert len(causes) == 2
    assert causes[0].startswith(f"  cause    the layer {cause}")
    assert "SeedGenerator" in causes[1]


def test_the_resume_is_skipped_if_the_repeat_differs(tmp_path: Path) -> None:
    given = [*LAYERS, "+model.layers=[unseeded]", "data=iris", "loop.steps=6"]
    report, is_same = prove(given, tmp_path)
    assert not is_same
    assert report.startswith("different: repeat\n  data     the same\n  journal  at step 1: ")
    assert "skipped: resume" in report
    assert "the layer unseeded (Unseeded) calls Python" in report
    assert "numpy.random.default_rng()" in report


def test_state_that_may_be_lost_is_noted(tmp_path: Path) -> None:
    given = [*LAYERS, "+model.layers=[constant,stateless]", "data=iris", "loop.steps=6"]
    report, is_same = prove(given, tmp_path)
    assert is_same
    (note,) = report.splitlines()[2:]
    assert note.startswith("note: the layer stateless (Stateless) calls Python (PyFunc), whose ")


def test_a_stream_in_random_order_is_named_as_the_cause(tmp_path: Path) -> None:
    report, is_same = prove([*DATA, "+data.streams=true", "loop.steps=6"], tmp_path)
    assert not is_same
    expected = "  data     the batch of step 1 has the same inputs in a different order"
    assert report.splitlines()[:2] == ["different: repeat", expected]
    assert "cause    the data source" in report
    assert "the layer" not in report


def test_failures_are_raised_as_by_a_run(tmp_path: Path) -> None:
    failed, done = Outcome(2, "no such thing", 1.0), Outcome(0, "", 1.0)
    with pytest.raises(UserError, match=r"^no such thing$"):
        make_report(tmp_path, None, None, {"interrupted": failed, "whole": failed})  # type: ignore[arg-type]
    message = "the repeat training failed, but the whole training did not: no"
    with pytest.raises(RunError, match=message):
        make_report(tmp_path, None, None, {"whole": done, "repeat": failed})  # type: ignore[arg-type]
