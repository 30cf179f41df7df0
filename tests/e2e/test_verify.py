"""`expt.verify` on the command line."""

import sys
from pathlib import Path

import pytest

from conftest import Command
from verification.proving import ALLOW, DATA, LAYERS

TESTS = Path(__file__).parents[1]
# A process forked by `ready_processes` can import the modules of the tests. It can't have another
# PYTHONPATH than the process that it is forked from.
ENVIRONMENT = ALLOW if sys.platform == "linux" else {**ALLOW, "PYTHONPATH": str(TESTS)}
FAULTS = "constant,operation,generator,generator,numpy,function"


def test_repeatable_config_is_verified(run_command: Command, tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    done = run_command(
        "model.dropout=0.2",
        "loop.time_limit=1s",
        folder=tmp_path,
        command="verify",
        environment={"TMPDIR": str(temporary)},
    )
    assert (done.code, done.error) == (0, "")
    intention, left_out, *ended, repeat, resume = done.out.splitlines()
    expected = "Training 24 steps on 9 batches of the data, evaluated every 5 steps: "
    assert intention.startswith(expected)
    assert left_out == "Ignored, since it could end the training early: loop.time_limit."
    assert {line.split()[0] for line in ended} == {"whole", "repeat", "interrupted", "resumed"}
    assert repeat.startswith("same bits: repeat: the data, 30 records of the journal, and ")
    assert repeat.endswith(" values after each of 24 steps")
    assert resume.startswith("same bits: resume after step ")
    assert list(tmp_path.rglob("*")) == [temporary]


def test_every_nondeterministic_layer_is_named(run_command: Command, tmp_path: Path) -> None:
    done = run_command(
        *LAYERS,
        f"+model.layers=[{FAULTS}]",
        "data=iris",
        "loop.steps=9",
        folder=tmp_path,
        command="verify",
        environment=ENVIRONMENT,
    )
    assert (done.code, done.error) == (1, "")
    assert "same bits: repeat" in done.out
    assert "different: resume after step" in done.out
    causes = [line.split("the layer ")[1] for line in done.out.splitlines() if "  cause " in line]
    assert [cause.split(",")[0] for cause in causes] == [
        "tensor_flow_generator (TensorFlowGenerator) changes the variable StateVar",
        "tensor_flow_generator_1 (TensorFlowGenerator) changes the variable StateVar",
        "stateful_operation (StatefulOperation) draws with RandomUniform",
        "within_function (WithinFunction) draws with RandomStandardNormal",
        "numpy_generator (NumpyGenerator) calls Python (PyFunc)",
    ]


def test_random_order_of_data_is_named(run_command: Command, tmp_path: Path) -> None:
    done = run_command(
        *DATA, "+data.streams=false", folder=tmp_path, command="verify", environment=ENVIRONMENT
    )
    assert (done.code, done.error) == (1, "")
    assert (
        "different: the data: when loaded again, its splits have the same inputs, but distributed "
        "differently\n  cause    the data source" in done.out
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("-m seed=0,1", "a sweep can't be verified"),
        ("act=reluu", "Did you mean 'relu'?"),
        ("loop.steps=1", "loop.steps=1: expected at least 2"),
        ("data=iris data.batch_size=1000", "data.batch_size=1000"),
    ],
)
def test_user_errors_are_reported(
    run_here: Command, tmp_path: Path, arguments: str, message: str
) -> None:
    done = run_here(*arguments.split(), folder=tmp_path, command="verify")
    assert done.code == 2
    assert done.error.startswith("error: ")
    assert message in done.error
    assert done.out == ""
    assert not any(tmp_path.iterdir())
