"""Every option of the catalog: interrupted at a step and resumed is as if never interrupted.

These runs keep the contract of the options (`contracts.contract`), too.
"""

import random
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from contracts.contract import SMALL, assert_kept, options_of
from contracts.example_data import FILES
from contracts.test_wholes import FOR_DATA, FOR_MODEL, SHALLOW
from resume.interrupting import assert_same, final_state, train, train_job

STEPS = 12
ADAM_OPTIONS = {
    "averages": ["optimizer.use_ema=true", "+optimizer.ema_overwrite_frequency=5"],
    "accumulation": ["optimizer.gradient_accumulation_steps=3"],
    "clipping": ["optimizer.global_clipnorm=0.1"],
}
OTHERS = {
    **{f"adam-{name}": options for name, options in ADAM_OPTIONS.items()},
    "dropout": ["model.dropout=0.5"],
    "dropout-xla": ["model.dropout=0.5", "loop.compile=xla"],
    "eager": ["model.dropout=0.5", "loop.compile=eager", "loop.steps=6"],
    "mixed-float16": ["loop.precision=mixed_float16", "model.dropout=0.2"],
    "mixed-bfloat16": ["loop.precision=mixed_bfloat16"],
    "scaled-averaged-accumulated": [
        "loop.precision=mixed_float16",
        *ADAM_OPTIONS["averages"],
        *ADAM_OPTIONS["accumulation"],
        "model.dropout=0.3",
    ],
    "plateau": [
        "schedule=plateau",
        "schedule.patience=1",
        "schedule.min_change=10",
        "loop.eval_every=2",
    ],
    "early-stopping": ["loop.patience=3", "loop.eval_every=2", "loop.min_change=100"],
    "augmentation": ["data.augment={flip: true, shift: 1, cutout: 2, mixup: 0.5}", "model=cnn"],
    "hook": ["hook=[weight_norm]", "hook.weight_norm.every=2"],
    "probes": [
        f"probe=[{','.join(options_of('probe'))}]",
        *(f"probe.{option}.every=2" for option in options_of("probe")),
        "model.dropout=0.5",
        "model.l2=0.01",
    ],
    "gan-averages": ["model=gan", "loss=binary_crossentropy", *ADAM_OPTIONS["averages"]],
}  # fmt: skip


def check(overrides: Sequence[str], folder: Path, steps: int = STEPS) -> None:
    """Compares a run with one that is interrupted at a step drawn from the overrides.

    The run keeps the contract, too: what it saves gives its numbers again.
    """
    name = "".join(overrides)
    at = random.Random(zlib.crc32(name.encode())).randrange(1, steps)  # noqa: S311
    given = [f"loop.steps={steps}", "loop.eval_every=5", f"loop.save_every={at}", *overrides]
    whole = train_job(given, folder / "whole")
    assert_kept(whole)
    interrupted = train(given, folder / "parts", interrupt_at=at)
    assert final_state(interrupted).step == at
    assert_same(train(given, folder / "parts", resume=True), whole.directory)


@pytest.mark.parametrize("option", options_of("model"))
def test_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    monkeypatch.setenv("EXPT_ALLOW", "contracts.user_parts")
    given = [f"model={option}", *FOR_MODEL.get(option, [])]
    if option in SHALLOW:  # their graphs take long to make, thrice
        given += [*SHALLOW[option], "loop.compile=eager", "loop.batches=2", "loop.eval_every=2"]
    check(given, tmp_path, 4 if option in SHALLOW else STEPS)


def combinations() -> Iterator[tuple[str, ...]]:
    """Yields data sources, optimizers and schedules side by side: all of each, none alone."""
    groups = [options_of(group) for group in ("data", "optimizer", "schedule")]
    for number in range(max(map(len, groups))):
        yield tuple(options[number % len(options)] for options in groups)


@pytest.mark.parametrize(("data", "optimizer", "schedule"), list(combinations()))
def test_data_optimizer_and_schedule(
    tmp_path: Path, data: str, optimizer: str, schedule: str
) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    files = FILES[data](folder) if data in FILES else []
    chosen = [f"data={data}", f"optimizer={optimizer}", f"schedule={schedule}"]
    check([*chosen, *files, *FOR_DATA.get(data, []), *SMALL], tmp_path)


@pytest.mark.parametrize("name", OTHERS)
def test_other_state(tmp_path: Path, name: str) -> None:
    small = [] if "model=" in "".join(OTHERS[name]) else SMALL
    check([*small, *OTHERS[name]], tmp_path, 6 if name == "eager" else STEPS)
