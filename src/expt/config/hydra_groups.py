"""Translation of Hydra's groups `hydra/launcher` and `hydra/sweeper` to the groups of expt.

Users of Hydra type these names by habit, but expt starts jobs itself, without Hydra's plugins.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from expt.config.location import options
from expt.config.paths import expand_path
from expt.errors import UserError, hint

GROUPS = ("sweeper", "launcher")
"""The groups of expt that replace groups of Hydra."""
_ALTERNATIVES = {
    ("launcher", "basic"): " To train one job after another, set sweep.workers=1.",
    ("launcher", "joblib"): " To set the number of jobs that train at once: sweep.workers=…",
    ("sweeper", "basic"): " The sweeper grid proposes the same jobs in the same order.",
}


def replace_hydra_groups(overrides: Sequence[str], config_dir: str | None) -> list[str]:
    """Returns overrides in which Hydra's launcher and sweeper groups are replaced by those of expt.

    Args:
        overrides: The overrides as typed.
        config_dir: The user's `conf/` folder, if any.

    Raises:
        UserError: The group of expt has no option of that name.
    """
    return [_replace_group(override, config_dir) for override in overrides]


def check_no_hydra_plugins(choices: Mapping[str, Any]) -> None:
    """Checks that no preset chooses a launcher or sweeper of Hydra, which would have no effect.

    Args:
        choices: Hydra's choices by group.

    Raises:
        UserError: A launcher or sweeper of Hydra is chosen.
    """
    for group in GROUPS:
        option = choices.get(f"hydra/{group}")
        if option is not None:
            raise UserError(describe_plugin(group, str(option)))


def describe_plugin(group: str, option: str, config_dir: str | None = None) -> str:
    """Describes the error of an option of Hydra that expt lacks, with the options of expt."""
    alternative = _ALTERNATIVES.get((group, option), "")
    return (
        f"hydra/{group}={option}: expt has its own {group}s, chosen with {group}=….{alternative} "
        f"{hint(option, _options(group, config_dir))}"
    )


def _replace_group(override: str, config_dir: str | None) -> str:
    key, equals, value = override.partition("=")
    sign = key[: len(key) - len(key.lstrip("+~"))]
    name = key.removeprefix(sign)
    for group in GROUPS:
        if name == f"hydra/{group}":
            # `check_choices` raises the error about a list, as for any other group.
            if not value.startswith("[") and value not in _options(group, config_dir):
                raise UserError(describe_plugin(group, value, config_dir))
            return f"{sign.replace('+', '')}{group}{equals}{value}"
        # Presets set `hydra.sweeper.params` to the values of a sweep, and expt reads it there.
        if name.startswith(f"hydra.{group}.") and not name.startswith("hydra.sweeper.params"):
            return f"{sign}{name.removeprefix('hydra.')}{equals}{value}"
    return override


def _options(group: str, config_dir: str | None) -> list[str]:
    own = (
        []
        if config_dir is None
        else expand_path(config_dir, "--config-dir ").glob(f"{group}/*.yaml")
    )
    return sorted({*options(group), *(Path(file).stem for file in own)})
