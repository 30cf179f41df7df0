"""Tests of the rule of `loop.compile=auto`."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from expt.config.compose import compose_jobs
from expt.config.schema import Compile
from expt.runs.records import read_run
from expt.train import compilation_rule
from expt.train.backend import start_for
from expt.train.compilation_rule import Compilation
from expt.train.data_loading import DataLoader
from expt.train.program import make_program
from resume.interrupting import assert_same, train


def chosen(*given: str) -> Compilation:
    (job,), _ = compose_jobs(["recorder=[]", *given], None, multirun=False)
    dataset = DataLoader()(job)
    start_for(job.config)
    return make_program(job, dataset).compilation


@pytest.mark.parametrize(
    ("given", "mode", "reason"),
    [
        ((), "graph", "570 steps do not make up for compiling with XLA, which takes 8,000"),
        (("loop.steps=7999",), "graph", "7,999 steps do not make up"),
        (("loop.steps=8000",), "xla", "it is faster for dense layers, over 8,000 steps"),
        # 26,122 weights times 512 examples
        (("loop.steps=5000", "data.batch_size=512"), "xla", "over 5,000 steps"),
        (("loop.steps=4999", "data.batch_size=512"), "graph", "which takes 5,000"),
        (("loop.steps=9000", "model.units=[8,8]", "act=prelu"), "xla", "9,000 steps"),
        (("loop.steps=9000", "model=autoencoder", "loss=mse"), "xla", "9,000 steps"),
        (("loop.steps=9000", "data=diabetes", "loss=mse"), "xla", "9,000 steps"),
    ],
)
def test_dense_networks_use_xla_in_long_runs(given: Sequence[str], mode: str, reason: str) -> None:
    compilation = chosen(*given)
    assert compilation.mode == mode
    assert reason in compilation.reason


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (("model.dropout=0.1",), "Dropout"),
        (("model=cnn",), "Conv2D"),
        (("model=gan", "loss=mse"), "Adversarial"),
        (("data.augment.shift=1",), "augmentation"),
        (("loop.precision=mixed_float16",), "mixed_float16"),
        (
            ("data=diabetes", "loss=mse", "loss._target_=custom_losses.right_gradient"),
            "right_gradient",
        ),
    ],
)
def test_what_stands_against_xla_is_named(
    given: Sequence[str], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPT_ALLOW", "custom_losses")
    compilation = chosen("loop.steps=20000", *given)
    assert compilation.mode is Compile.graph
    assert named in compilation.reason


@pytest.mark.parametrize("mode", [Compile.graph, Compile.xla, Compile.eager])
def test_explicit_choice_is_kept(mode: Compile) -> None:
    assert chosen(f"loop.compile={mode}", "loop.steps=20000").mode is mode


def test_resumed_run_is_compiled_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["data=iris", "loop.steps=20", "model.units=[4]"]
    with monkeypatch.context() as patch:
        patch.setattr(compilation_rule, "_FIRST_STEPS", ((0, 20),))
        train(given, tmp_path / "interrupted", interrupt_at=3)
        whole = train(given, tmp_path / "whole")
    # By the rule, 20 steps are too few.
    resumed = train(given, tmp_path / "interrupted", resume=True)
    assert_same(resumed, whole)
    for directory in (whole, resumed):
        compilation = read_run(directory).compilation
        assert compilation is not None
        assert compilation.mode == "xla"
        assert compilation.reason == "it is faster for dense layers, over 20 steps"
