import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from conftest import Train
from expt.config.cadence import Cadence
from expt.record.histograms import read_histograms
from expt.record.replay import image_keys
from expt.train.hooks.probes import EveryProbe, layers_of

ALL = ["probe=[gradients,activations]", "probe.gradients.every=3", "probe.activations.every=2"]
# One batch of the whole train split, so that each step has the gradient of the fixed batch.
WHOLE = ["data=iris", "data.batch_size=105", "loop.steps=6", "optimizer=sgd"]


def journal(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


def of_training(directory: Path) -> list[dict[str, Any]]:
    """Returns the records that a run without probes has, too, without times."""
    records = [
        {name: value for name, value in record.items() if name != "time" and "perf/" not in name}
        for record in journal(directory)
    ]
    return [one for one in records if any(n.startswith(("train", "val", "test")) for n in one)]


def test_gradients_are_those_of_the_step(train_here: Train, tmp_path: Path) -> None:
    run = train_here([*WHOLE, *ALL, "probe.gradients.every=1"], tmp_path)
    assert len(run.dataset.train) == 105
    records = journal(run.directory)
    seen = {r["step"]: r for r in records if "within/gradient_norm/all" in r}
    trained = {r["step"]: r for r in records if "train/grad_norm" in r}
    assert set(seen) == set(range(7))
    for step in range(6):
        norm = trained[step + 1]["train/grad_norm"]
        assert seen[step]["within/gradient_norm/all"] == pytest.approx(norm, rel=1e-4)
        assert "within/gradient_noise/scale" not in seen[step]  # which needs two batches
    # Of plain gradient descent, an update is the gradient times the learning rate.
    rate = trained[1]["train/learning_rate"]
    ratios = [
        seen[step]["within/update_ratio/all"] / seen[step - 1]["within/gradient_norm/all"]
        for step in (1, 2)
    ]
    assert all(ratio > 0 for ratio in ratios)
    assert ratios[0] == pytest.approx(ratios[1], rel=0.1)
    assert rate > 0
    names = {one.name for one in read_histograms(run.directory)}
    assert {"within/gradients/dense", "within/activations/re_lu"} <= names
    assert ("probes/summary", 6) in set(image_keys(run.directory))


def test_training_is_the_same_with_probes(train_here: Train, tmp_path: Path) -> None:
    overrides = ["model.dropout=0.3", "model.normalization=batch"]
    given = [*overrides, "loop.steps=6", "loop.eval_every=3"]
    without = train_here(given, tmp_path / "without")
    probed = train_here([*given, *ALL], tmp_path / "probed")
    assert of_training(probed.directory) == of_training(without.directory)
    assert probed.record.run_hash == without.record.run_hash
    records = journal(probed.directory)
    assert [r["step"] for r in records if "within/gradient_norm/all" in r] == [0, 3, 6]
    assert [r["step"] for r in records if "within/update_ratio/all" in r] == [3, 6]
    assert all(
        np.isfinite(r["within/gradient_norm/all"])
        for r in records
        if "within/gradient_norm/all" in r
    )
    assert any(name.startswith("within/saturated_share/") for record in records for name in record)


class _Timeline:
    steps_per_epoch, total_steps = 5, 12


def test_a_probe_is_prepared_one_step_before() -> None:
    def nothing(moment: Any) -> None:
        del moment

    timeline: Any = _Timeline()
    every = EveryProbe(Cadence(1, in_epochs=True), nothing, at_end=True, before=nothing)
    due = [0]
    while due[-1] < 12:
        due.append(int(every.next_due(due[-1], timeline)))
    assert due == [0, 4, 5, 9, 10, 11, 12]
    plain = EveryProbe(Cadence(1, in_epochs=True), nothing, at_end=True)
    assert plain.next_due(5, timeline) == 10
    assert EveryProbe(Cadence(None), nothing, before=nothing).next_due(0, timeline) == float("inf")


def test_layers_are_named_after_the_layers_of_the_model() -> None:
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="deep")], name="inner")
    model = keras.Sequential(
        [keras.Input((4,)), inner, keras.layers.Dense(2, name="top")], name="outer"
    )
    assert layers_of([model], model.trainable_variables) == {"deep": [0, 1], "top": [2, 3]}
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, name="top")], name="other")
    both = [*model.trainable_variables, *other.trainable_variables]
    assert list(layers_of([model, other], both)) == ["outer.deep", "outer.top", "other.top"]


def test_inner_layers_are_named_after_the_layer_around_them() -> None:
    """Otherwise the queries of two attention layers would count as one layer."""
    inputs = keras.Input((3, 4))
    hidden = inputs
    for name in ("first", "second"):
        hidden = keras.layers.MultiHeadAttention(1, 2, name=name)(hidden, hidden)
    expected = [
        f"{outer}.{inner}"
        for outer in ("first", "second")
        for inner in ("query", "key", "value", "attention_output")
    ]
    for model in (keras.Model(inputs, hidden), keras.Sequential([keras.Model(inputs, hidden)])):
        assert list(layers_of([model], model.trainable_variables)) == expected
