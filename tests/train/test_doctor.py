"""Tests of the doctor on real runs: the facts that it reads, its findings and their records."""

import json
from pathlib import Path

import numpy as np
import pytest

from conftest import Train
from expt.errors import RunError
from expt.probes.doctor.rules import RULES
from expt.runs.records import RunRecord, read_run


def rules(record: RunRecord) -> list[str]:
    assert record.findings is not None
    return [finding.rule for finding in record.findings]


def test_vanishing_gradients_of_deep_sigmoid(train_here: Train, tmp_path: Path) -> None:
    deep = ["model.units=[32,32,32,32,32,32,32,32]", "probe=[gradients]", "loop.epochs=6"]
    of = {act: train_here([*deep, f"act={act}"], tmp_path / act) for act in ("sigmoid", "relu")}
    assert "vanishing_gradients" not in rules(of["relu"].record)
    finding = next(
        one for one in of["sigmoid"].record.findings or () if one.rule == "vanishing_gradients"
    )
    assert finding.layer == "dense"
    assert finding.remedy == "act=relu"
    lines = (of["sigmoid"].directory / "metrics.jsonl").read_text().splitlines()
    ratios = [
        record["within/gradient_norm/dense"] / record["within/gradient_norm/dense_8"]
        for record in map(json.loads, lines)
        if "within/gradient_norm/dense" in record
    ]
    assert finding.number == pytest.approx(np.median(ratios))


def test_diverged_run_has_findings(train_here: Train, tmp_path: Path) -> None:
    diverging = ["data=linear", "model=linear", "loss=mse", "optimizer=sgd"]
    with pytest.raises(RunError, match="became"):
        train_here([*diverging, "optimizer.learning_rate=10"], tmp_path)
    record = read_run(tmp_path / "run")
    assert record.status == "FAILED"
    assert rules(record)[0] == "non_finite_loss"
    assert record.findings is not None
    assert record.findings[0].remedy == "optimizer.learning_rate=1"


def test_raw_inputs_are_measured(train_here: Train, tmp_path: Path) -> None:
    short = ["data=wine", "loop.steps=5", "model.units=[8]"]
    run = train_here([*short, "data.standardize=false"], tmp_path / "raw")
    assert run.record.findings is not None
    finding = next(one for one in run.record.findings if one.rule == "unscaled_inputs")
    sizes = np.sqrt(np.square(run.dataset.train.inputs.astype(float)).mean(axis=0))
    assert finding.number == pytest.approx(sizes.max())
    assert finding.remedy == "data.standardize=true"
    scaled = train_here(short, tmp_path / "scaled")
    assert rules(scaled.record) == []
    normalized = train_here(
        ["loop.steps=2", "model=keras_application", "loop.compile=eager"], tmp_path / "images"
    )
    assert rules(normalized.record) == []


def test_doctor_can_be_switched_off(train_here: Train, tmp_path: Path) -> None:
    raw = ["data=wine", "data.standardize=false", "loop.steps=2", "model=linear"]
    on, off = (
        train_here([*raw, f"doctor={given}"], tmp_path / given) for given in ("true", "false")
    )
    assert rules(on.record)
    assert off.record.findings is None
    assert on.record.run_hash == off.record.run_hash
    assert on.record.params == off.record.params


def test_failing_rule_fails_neither_the_run_nor_other_rules(
    train_here: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_facts: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("expt.train.doctor.RULES", {"broken": fail, **RULES})
    raw = ["data=wine", "data.standardize=false", "loop.steps=2", "model=linear"]
    run = train_here(raw, tmp_path)
    assert run.record.status == "FINISHED"
    assert "unscaled_inputs" in rules(run.record)
