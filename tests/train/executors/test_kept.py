"""A job that runs the compiled functions of a previous job has the same bits as alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from contracts.contract import options_of
from expt.config.compose import compose_jobs
from expt.record.journal import FILE_NAME, read_journal
from expt.train.backend import start_for
from expt.train.best_model import MODEL_FILE
from expt.train.data_loading import DataLoader
from expt.train.executors.kept import KeptProgram
from expt.train.executors.single import SingleExecutor
from expt.train.program import Program, make_program
from expt.train.session import Session

SMALL = (
    *("data=digits", "data.batch_size=16", "loop.steps=6", "loop.eval_every=2"),
    *("recorder=[]", "loop.image_every=null", "doctor=false"),
)
MLP = ("model.units=[8]", "model.dropout=0.3", "model.normalization=batch")
MODELS = {
    "mlp": MLP,
    "linear": ("model=linear",),
    "cnn": ("model=cnn", "model.filters=[4]", "model.units=[8]", "model.dropout=0.3"),
    "resnet": ("model=resnet", "model.depth=8", "model.width=4"),
    "vit": ("model=vit", "model.width=8", "model.depth=1", "model.heads=2", "model.dropout=0.2"),
    "autoencoder": ("model=autoencoder", "model.units=[8]", "model.latent=4", "loss=mse"),
    "gan": (
        *("model=gan", "loss=binary_crossentropy"),
        *("model.generator_units=[8]", "model.discriminator_units=[8]"),
    ),
}
WITHOUT_KEY = {"custom", "keras_application"}  # user code; weights from files


class Counting(KeptProgram):
    """Counts the jobs that have run kept functions."""

    used = 0

    def take(self, program: Program) -> SingleExecutor | None:
        executor = super().take(program)
        self.used += executor is not None
        return executor


def run(
    overrides: Sequence[str], folder: Path, load: DataLoader, kept: KeptProgram
) -> tuple[list[dict[str, Any]], Mapping[str, Any]]:
    """Returns the journal of a job without times and speeds, and the bytes of its weights."""
    (job,), _ = compose_jobs([*SMALL, *overrides], None, multirun=False)
    folder.mkdir()
    dataset = load(job)
    start_for(job.config)
    Session(job, dataset, folder, [], Console(quiet=True), kept=kept).run()
    lines = [
        {key: repr(v) for key, v in line.items() if key != "time" and not key.startswith("perf/")}
        for line in read_journal(folder / FILE_NAME)
    ]
    import keras

    model = keras.saving.load_model(folder / MODEL_FILE)
    return lines, {f"{n}": np.array(v.value).tobytes() for n, v in enumerate(model.variables)}


def check_equal(given: Sequence[str], tmp_path: Path, others: Sequence[str]) -> None:
    load, kept = DataLoader(), Counting()
    wanted = [*given, "seed=1"]
    alone = run(wanted, tmp_path / "alone", load, KeptProgram())
    run([*given, *others], tmp_path / "previous", load, kept)
    found = run(wanted, tmp_path / "after", load, kept)
    assert kept.used == 1
    assert found == alone


def test_catalogue_names_every_model() -> None:
    assert set(options_of("model")) == MODELS.keys() | WITHOUT_KEY


@pytest.mark.parametrize("model", MODELS)
def test_every_model_has_the_bits_of_a_run_alone(model: str, tmp_path: Path) -> None:
    check_equal(MODELS[model], tmp_path, ["seed=0"])


@pytest.mark.parametrize("optimizer", options_of("optimizer"))
def test_every_optimizer_has_the_bits_of_a_run_alone(optimizer: str, tmp_path: Path) -> None:
    others = ["seed=0", "optimizer.learning_rate=0.3"]
    check_equal(["model=linear", f"optimizer={optimizer}"], tmp_path, others)


@pytest.mark.parametrize(
    ("given", "others"),
    [
        (["schedule=cosine"], ["optimizer.learning_rate=0.3"]),
        (["optimizer=momentum"], ["optimizer.momentum=0.5"]),
        (["loss=mse"], ["loss=crossentropy"]),
        (["data.batch_size=32"], ["data.batch_size=64"]),
        (["data.augment={shift:1}"], ["seed=0"]),
        (["schedule=plateau"], ["seed=0"]),
        (["loop.compile=eager"], ["seed=0"]),
    ],
)
def test_other_values_are_traced_anew(given: Sequence[str], others: Sequence[str]) -> None:
    kept, load, programs = KeptProgram(), DataLoader(), []
    for overrides in (others, []):
        (job,), _ = compose_jobs([*SMALL, "model=linear", *given, *overrides], None, multirun=False)
        start_for(job.config)
        programs.append(make_program(job, load(job)))
    kept.keep(SingleExecutor(programs[0]))
    assert kept.take(programs[1]) is None
