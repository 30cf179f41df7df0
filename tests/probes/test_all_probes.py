"""All probes together in whole runs of every kind of training."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from conftest import Train
from contracts.contract import options_of
from contracts.example_data import FILES
from expt.config.groups import option_values
from expt.record.journal import read_journal

# The groups of names in the journal that do not belong to probes.
OF_RUN = ("train/", "val/", "test/", "perf/", "step", "epoch", "time")
SETTINGS = {
    "accumulation-xla": [
        *("model=autoencoder", "model.units=[8]", "model.latent=4", "loss=mse"),
        *("optimizer.gradient_accumulation_steps=2", "loop.compile=xla"),
    ],
    "streamed-eager-bfloat16": [
        *("data=image_folder", "model=cnn", "model.filters=[4]", "model.units=[]"),
        *("model.normalization=batch", "loop.compile=eager", "loop.precision=mixed_bfloat16"),
    ],
    "pair-float16": [
        *("model=gan", "loss=binary_crossentropy", "loop.precision=mixed_float16"),
        *("model.generator_units=[8]", "model.discriminator_units=[8]"),
    ],
}


def probes(task: str) -> list[str]:
    """Returns the overrides that choose all probes of a task, at every second step."""
    chosen = [
        one
        for one in options_of("probe")
        if task in option_values("probe", one).get("_tasks_", [task])
    ]
    return [f"probe=[{','.join(chosen)}]", *(f"probe.{one}.every=2" for one in chosen)]


def records_of_run(directory: Path) -> list[Mapping[str, Any]]:
    """Returns the records of a run without its probes' values and what the clock measures."""
    kept = (
        {
            name: str(value)
            for name, value in record.items()
            if name.startswith(OF_RUN) and name != "time" and not name.startswith("perf/")
        }
        for record in read_journal(directory / "metrics.jsonl")
    )
    return [record for record in kept if record.keys() - {"step", "epoch"}]


@pytest.mark.parametrize("setting", SETTINGS)
def test_probes_do_not_change_the_results_of_a_run(
    train_here: Train, tmp_path: Path, setting: str
) -> None:
    given = ["loop.steps=3", "loop.eval_every=2", *SETTINGS[setting]]
    if "data=image_folder" in given:
        (tmp_path / "files").mkdir()
        given += FILES["image_folder"](tmp_path / "files")
    chosen = probes("generation" if "model=gan" in given else "classification")
    without = train_here(given, tmp_path / "without")
    probed = train_here([*given, *chosen], tmp_path / "probed")
    assert records_of_run(probed.directory) == records_of_run(without.directory)
    assert probed.final == without.final
    names = {name for record in read_journal(probed.directory / "metrics.jsonl") for name in record}
    assert any(name.startswith("within/loss_term/") for name in names)
    assert any(name.startswith("within/curvature/") for name in names) == ("model=gan" not in given)
    assert list((probed.directory / "images").glob("pictures_*"))
