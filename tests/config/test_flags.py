import argparse

import pytest
from hydra._internal.utils import get_args_parser

from expt.config.flags import parse
from expt.errors import UserError


@pytest.mark.parametrize(
    ("arguments", "message"),
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
def test_error_suggests_key_for_flag(arguments: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
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
def test_other_command_lines_are_parsed(arguments: str) -> None:
    words = arguments.split()
    assert parse(get_args_parser(), words) == get_args_parser().parse_intermixed_args(words)


def test_error_suggests_keys_of_command_only(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("options", nargs="*")
    with pytest.raises(UserError, match=r"Did you mean output_dir=x\?"):
        parse(parser, ["--output-dir", "x"], ["output_dir"])
    with pytest.raises(SystemExit):
        parse(parser, ["--epochs", "5"], ["output_dir"])
    assert "unrecognized arguments: --epochs" in capsys.readouterr().err
