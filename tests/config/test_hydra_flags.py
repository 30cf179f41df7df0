import pytest
from hydra._internal.utils import get_args_parser

from expt.config.hydra_flags import check_flags
from expt.errors import UserError


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--package loop", "--package requires --cfg"),
        ("--resolve", "--resolve requires --cfg or --help"),
        ("--run -m", "--run and --multirun: expected only one of these flags"),
        ("--cfg job --info", "--cfg and --info: expected only one of these flags"),
        ("--config-name x", "--config-name is not supported"),
        ("--shell-completion", "expected install, uninstall, query with one of bash, zsh, fish"),
        ("--shell-completion install=csh", "--shell-completion install=csh: expected install"),
    ],
)
def test_invalid_flags_are_rejected(arguments: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_flags(get_args_parser().parse_intermixed_args(arguments.split()))


@pytest.mark.parametrize(
    "arguments",
    [
        "-m --cfg job --package loop --resolve act=relu,tanh",
        "-m --info searchpath",
        "--help --resolve",
        "--shell-completion query=zsh",
    ],
)
def test_valid_flags_pass(arguments: str) -> None:
    check_flags(get_args_parser().parse_intermixed_args(arguments.split()))
