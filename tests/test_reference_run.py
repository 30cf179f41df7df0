"""A run with most options on, compared with a reimplementation in NumPy.

The reimplementation covers reading the table, standardization, the order of the batches, the model,
the loss with label smoothing, class weights and penalties, gradient accumulation, clipping, the
schedule, AdamW with weight decay, the average of the weights, the evaluations, the best model and
its test. Only the split of the rows and the initial weights are taken from expt.
"""

import csv
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from expt.config.compose import compose_jobs
from expt.record.journal import read_journal
from expt.train.backend import start_tensorflow
from expt.train.checkpoint import newest_checkpoint
from expt.train.data_loading import DataLoader
from expt.train.program import make_program

Array = NDArray[np.float64]
SEED, EPOCHS, BATCH, PARTS, EVAL_EVERY = 5, 6, 8, 3, 4
RATE, WARMUP, FINAL = 0.05, 0.2, 0.1
L2, SMOOTHING, CLASS_WEIGHTS = 0.003, 0.1, np.array([1.0, 2.5, 0.4])
DECAY, CLIP, AVERAGE = 0.2, 0.3, 0.8
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7
KINDS = ("ash", "beech", "oak")
OPTIONS = [
    *("data=csv", "data.target=class", f"data.batch_size={BATCH}", f"seed={SEED}"),
    *("model.units=[6,5]", f"model.l2={L2}", "act=tanh"),
    *(f"loss.label_smoothing={SMOOTHING}", f"loss.class_weights={CLASS_WEIGHTS.tolist()}"),
    *("optimizer=adamw", f"optimizer.learning_rate={RATE}", f"optimizer.weight_decay={DECAY}"),
    *(f"optimizer.global_clipnorm={CLIP}", f"optimizer.gradient_accumulation_steps={PARTS}"),
    *("optimizer.use_ema=true", f"optimizer.ema_momentum={AVERAGE}"),
    *("schedule=cosine_warmup", f"schedule.warmup={WARMUP}", f"schedule.final_fraction={FINAL}"),
    *("metric=[accuracy]", f"loop.epochs={EPOCHS}", f"loop.eval_every={EVAL_EVERY}"),
]


def write_table(path: Path) -> None:
    random = np.random.default_rng(11)
    heights, widths = random.normal(20, 6, 190), random.normal(0.3, 0.1, 190)
    kinds = random.integers(0, 3, 190)
    scores = heights / 6 + 9 * widths + kinds + random.normal(0, 0.7, 190)
    classes = np.array(["low", "middle", "high"])[np.digitize(scores, [5.5, 7.5])]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["height", "kind", "width", "class"])
        for row in zip(heights, kinds, widths, classes, strict=True):
            writer.writerow([f"{row[0]:.6f}", KINDS[row[1]], f"{row[2]:.6f}", row[3]])


def read_table(path: Path) -> tuple[Array, NDArray[np.int64]]:
    """Returns the inputs, with kinds one-hot encoded, and the labels of the sorted classes."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    one_hot = [[float(row["kind"] == kind) for kind in KINDS] for row in rows]
    inputs = [
        [float(row["height"]), *kind, float(row["width"])]
        for row, kind in zip(rows, one_hot, strict=True)
    ]
    classes = sorted({row["class"] for row in rows})
    return np.array(inputs), np.array([classes.index(row["class"]) for row in rows])


def shares_of(targets: NDArray[np.int64]) -> Array:
    """Returns the share of each example in the loss of a batch, by the weight of its class."""
    shares: Array = CLASS_WEIGHTS[targets] / CLASS_WEIGHTS[targets].sum()
    return shares


@dataclass
class Net:
    """An MLP with tanh layers and logits; its weights are W, b, W, b, …"""

    weights: list[Array]

    def outputs(self, inputs: Array) -> list[Array]:
        """Returns the inputs, the hidden activations and the logits."""
        values = [inputs]
        for kernel, bias in zip(self.weights[::2], self.weights[1::2], strict=True):
            affine = values[-1] @ kernel + bias
            is_last = kernel is self.weights[-2]
            values.append(affine if is_last else np.tanh(affine))
        return values

    def penalty(self) -> float:
        return L2 * sum(float((kernel**2).sum()) for kernel in self.weights[::2])

    def loss(self, logits: Array, targets: NDArray[np.int64]) -> float:
        smoothed = (1 - SMOOTHING) * np.eye(3)[targets] + SMOOTHING / 3
        log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        values = -(smoothed * log_p).sum(axis=1)
        return float((shares_of(targets) * values).sum()) + self.penalty()

    def gradients(self, inputs: Array, targets: NDArray[np.int64]) -> list[Array]:
        *hidden, logits = self.outputs(inputs)
        smoothed = (1 - SMOOTHING) * np.eye(3)[targets] + SMOOTHING / 3
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        errors, found = shares_of(targets)[:, None] * (p - smoothed), []
        for layer in reversed(range(len(hidden))):
            kernel = self.weights[2 * layer]
            found += [errors.sum(axis=0), hidden[layer].T @ errors + 2 * L2 * kernel]
            errors = errors @ kernel.T * (1 - hidden[layer] ** 2)
        return found[::-1]

    def measured(self, inputs: Array, targets: NDArray[np.int64]) -> dict[str, float]:
        logits = self.outputs(inputs)[-1]
        accuracy = float((logits.argmax(axis=1) == targets).mean())
        return {"loss": self.loss(logits, targets), "accuracy": accuracy}


@dataclass
class AdamW:
    """AdamW that decays only kernels, with an exponential moving average of the weights."""

    net: Net
    step: int = 0
    first: list[Array] = field(default_factory=list)
    second: list[Array] = field(default_factory=list)
    averages: list[Array] = field(default_factory=list)

    def update(self, gradients: list[Array], rate: float) -> None:
        weights, self.step = self.net.weights, self.step + 1
        zeros = [np.zeros_like(w) for w in weights]
        first, second = self.first or zeros, self.second or zeros
        self.first = [BETA_1 * m + (1 - BETA_1) * g for m, g in zip(first, gradients, strict=True)]
        self.second = [
            BETA_2 * v + (1 - BETA_2) * g**2 for v, g in zip(second, gradients, strict=True)
        ]
        corrected = rate * np.sqrt(1 - BETA_2**self.step) / (1 - BETA_1**self.step)
        self.net.weights = [
            w * (1 - rate * DECAY * (w.ndim == 2)) - corrected * m / (np.sqrt(v) + EPSILON)
            for w, m, v in zip(weights, self.first, self.second, strict=True)
        ]
        averages = self.averages or self.net.weights
        self.averages = [
            AVERAGE * a + (1 - AVERAGE) * w for a, w in zip(averages, self.net.weights, strict=True)
        ]


def rate_of(step: int, total: int) -> float:
    """Returns the learning rate of a step, counted from 0."""
    num_warmup = round(WARMUP * total)
    if step < num_warmup:
        return RATE * (step + 1) / num_warmup
    share = (step - num_warmup) / (total - num_warmup)
    return RATE * (FINAL + (1 - FINAL) * (1 + math.cos(math.pi * share)) / 2)


Splits = dict[str, tuple[Array, NDArray[np.int64]]]


def reference(splits: Splits, start: list[Array]) -> dict[str, Any]:
    """Trains in NumPy, and returns the values that a run records."""
    inputs, targets = splits["train"]
    mean, deviation = inputs.mean(axis=0), inputs.std(axis=0)
    mean[1:4], deviation[1:4] = 0, 1  # one-hot columns are not standardized
    scaled = {name: ((x - mean) / deviation, y) for name, (x, y) in splits.items()}
    inputs, targets = scaled["train"]
    size = PARTS * BATCH
    steps_per_epoch = len(inputs) // size
    total = EPOCHS * steps_per_epoch
    net = Net(start)
    optimizer = AdamW(net)
    rows: list[dict[str, float]] = []
    evaluations: dict[int, dict[str, float]] = {}
    best: tuple[float, list[Array]] = (np.inf, [])
    for step in range(total):
        epoch, place = divmod(step, steps_per_epoch)
        order = np.arange(len(inputs), dtype=np.int32)
        np.random.default_rng((SEED, epoch)).shuffle(order)
        batch = order[place * size : (place + 1) * size]
        x, y = inputs[batch], targets[batch]
        gradients, values = net.gradients(x, y), net.measured(x, y)
        norm = float(np.sqrt(sum((g**2).sum() for g in gradients)))
        rate = rate_of(step, total)
        rows.append({**values, "grad_norm": norm, "learning_rate": rate})
        optimizer.update([g * min(1, CLIP / norm) for g in gradients], rate)
        if (step + 1) % EVAL_EVERY == 0 or step + 1 == total:
            values = Net(optimizer.averages).measured(*scaled["val"])
            evaluations[step + 1] = values
            best = min(best, (values["loss"], optimizer.averages), key=lambda pair: pair[0])
    return {
        "train": rows,
        "val": evaluations,
        "test": Net(best[1]).measured(*scaled["test"]),
        "best": best[1],
        "last": net.weights,
    }


def rows_of(dataset: Any, inputs: Array) -> dict[str, NDArray[np.int64]]:
    """Returns the row numbers of the table in each split, in the order of the split."""
    by_values = {tuple(row): number for number, row in enumerate(inputs.round(6).tolist())}
    return {
        name: np.array([by_values[tuple(row)] for row in split.inputs.round(6).tolist()])
        for name, split in dataset.splits()
    }


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("table") / "trees.csv"
    write_table(path)
    return path


def test_run_matches_numpy_reference(train_here: Any, table: Path, tmp_path: Path) -> None:
    run = train_here([*OPTIONS, f"data.path={table}"], tmp_path)
    (job,), _ = compose_jobs([*OPTIONS, f"data.path={table}"], None, multirun=False)
    start_tensorflow(SEED)
    model = make_program(job, DataLoader()(job)).learner.model
    start = [np.asarray(variable.numpy(), np.float64) for variable in model.trainable_variables]
    inputs, targets = read_table(table)
    rows = rows_of(run.dataset, inputs)
    splits = {name: (inputs[r], targets[r]) for name, r in rows.items()}
    assert sorted(np.concatenate(list(rows.values())).tolist()) == list(range(190))
    assert len(rows["train"]) % (PARTS * BATCH), "no examples are left over"
    expected = reference(splits, start)

    journal = list(read_journal(run.directory / "metrics.jsonl"))
    trained = [record for record in journal if "train/loss" in record]
    assert [record["step"] for record in trained] == list(range(1, len(expected["train"]) + 1))
    norms = [row["grad_norm"] for row in expected["train"]]
    assert min(norms) < CLIP < max(norms), "all steps are clipped, or none"
    for record, row in zip(trained, expected["train"], strict=True):
        found = {name: record[f"train/{name}"] for name in row}
        assert found == pytest.approx(row, rel=1e-4, abs=1e-6)
    evaluated = {r["step"]: r for r in journal if "val/loss" in r}
    assert evaluated.keys() == expected["val"].keys()
    for step, values in expected["val"].items():
        found = {name: evaluated[step][f"val/{name}"] for name in values}
        assert found == pytest.approx(values, rel=1e-4)
    final = {name: run.final[f"test/{name}"] for name in ("loss", "accuracy")}
    assert final == pytest.approx(expected["test"], rel=1e-4)

    saved = keras.models.load_model(run.directory / "model.keras")
    for variable, weights in zip(saved.trainable_variables, expected["best"], strict=True):
        np.testing.assert_allclose(variable.numpy(), weights, rtol=1e-4, atol=1e-5)
    checkpoint = newest_checkpoint(run.directory / "checkpoints", 10**9)
    assert checkpoint is not None
    names = sorted(n for n in checkpoint.arrays if n.startswith("network 0/") and "seed" not in n)
    for name, weights in zip(names, expected["last"], strict=True):
        np.testing.assert_allclose(checkpoint.arrays[name], weights, rtol=1e-4, atol=1e-5)
