"""`hydra/launcher` and `hydra/sweeper`, which users of Hydra type by habit, as groups of expt."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from expt.config.location import options
from expt.config.paths import expanded
from expt.errors import UserError, hint

GROUPS = ("sweeper", "launcher")
"""The groups of expt that replace Hydra's."""
_INSTEAD = {
    ("launcher", "basic"): " sweep.workers=1 trains one job after another.",
    ("launcher", "joblib"): " sweep.workers=… says how many jobs train at once.",
    ("sweeper", "basic"): " grid makes the same jobs, in the same order.",
}


def replace_hydra_groups(overrides: Sequence[str], config_dir: str | None) -> list[str]:
    """Returns overrides of which those of Hydra's launcher and sweeper are of expt's.

    Args:
        overrides: As typed.
        config_dir: A `conf/` folder of the user's own.

    Raises:
        UserError: expt has no such option.
    """
    return [_as_own_group(override, config_dir) for override in overrides]


def check_no_hydra_plugins(choices: Mapping[str, Any]) -> None:
    """Checks that no preset chooses a launcher or sweeper of Hydra's, which would not be used.

    Args:
        choices: Hydra's, by group.

    Raises:
        UserError: One does.
    """
    for group in GROUPS:
        option = choices.get(f"hydra/{group}")
        if option is not None:
            raise UserError(refused(group, str(option)))


def refused(group: str, option: str, config_dir: str | None = None) -> str:
    """Describes an option of Hydra's that expt has not, and which there are."""
    instead = _INSTEAD.get((group, option), "")
    return (
        f"hydra/{group}={option}: expt has {group}s of its own.{instead} "
        f"{hint(option, _options(group, config_dir))} Choose with {group}=…"
    )


def _as_own_group(override: str, config_dir: str | None) -> str:
    key, equals, value = override.partition("=")
    sign = key[: len(key) - len(key.lstrip("+~"))]
    name = key.removeprefix(sign)
    for group in GROUPS:
        if name == f"hydra/{group}":
            # A list is answered like that of any other group.
            if not value.startswith("[") and value not in _options(group, config_dir):
                raise UserError(refused(group, value, config_dir))
            return f"{sign.replace('+', '')}{group}{equals}{value}"
        if name.startswith(f"hydra.{group}.") and not name.startswith("hydra.sweeper.params"):
            return f"{sign}{name.removeprefix('hydra.')}{equals}{value}"
    return override


def _options(group: str, config_dir: str | None) -> list[str]:
    own = (
        [] if config_dir is None else expanded(config_dir, "--config-dir ").glob(f"{group}/*.yaml")
    )
    return sorted({*options(group), *(Path(file).stem for file in own)})
