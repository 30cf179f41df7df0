import argparse

import pytest
from hydra._internal.utils import get_args_parser

from expt.config.flags import parse
from expt.errors import UserError


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("--epochs 5", r"--epochs: expected KEY=VALUE, without dashes\. .* loop\.epochs=5\?"),
        ("--lr=0.1", r"--lr=0.1: .* Did you mean optimizer\.learning_rate=0\.1\?"),
        ("-lr 0.1", r"Did you mean optimizer\.learning_rate=0\.1\?"),
        ("act=tanh --batch-size 32", r"Did you mean data\.batch_size=32\?"),
        ("--seed 1", r"Did you mean seed=1\?"),
        ("-model cnn", r"Did you mean model=cnn\?"),
        ("--loop.epochs=5", r"Did you mean loop\.epochs=5\?"),
        ("--epochs act=tanh", r"Did you mean loop\.epochs=…\?"),
        ("--epochs -m", r"Did you mean loop\.epochs=…\?"),
    ],
)
def test_a_key_with_dashes_is_answered_with_what_was_meant(arguments: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        parse(get_args_parser(), arguments.split())


@pytest.mark.parametrize(
    "arguments",
    [
        "-m act=relu,tanh seed=0",
        "--cfg job --package loop",
        "--multi act=relu",
        "-sc install=bash",
        "data.split=-1",
        "name=--epochs",
        "-- name=x",
    ],
)
def test_other_command_lines_are_parsed_as_before(arguments: str) -> None:
    words = arguments.split()
    assert parse(get_args_parser(), words) == get_args_parser().parse_intermixed_args(words)


def test_a_command_with_few_keys_names_those_alone(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("options", nargs="*")
    with pytest.raises(UserError, match=r"Did you mean output_dir=x\?"):
        parse(parser, ["--output-dir", "x"], ["output_dir"])
    with pytest.raises(SystemExit):
        parse(parser, ["--epochs", "5"], ["output_dir"])
    assert "unrecognized arguments: --epochs" in capsys.readouterr().err
