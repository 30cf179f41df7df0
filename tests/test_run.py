import pytest
from hydra._internal.utils import get_args_parser

from expt.run import _as_arguments


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["seed=0"],
        ["-m", "act=relu,tanh", "seed=0"],
        ["seed=0", "-m"],
        ["act=tanh", "--config-dir", "my conf", "data.target='a b'", "--cfg", "job", "-p", "act"],
        ["--info", "searchpath", "--resolve"],
        ["-sc", "install=bash"],
        ["--help"],
    ],
)
def test_hydra_parses_the_same_command_line(arguments: list[str]) -> None:
    args = get_args_parser().parse_intermixed_args(arguments)
    parsed = get_args_parser().parse_args(_as_arguments(args))
    args.config_dir = None  # Hydra knows the folder by its search path
    assert parsed == args
