"""Where conf/ is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def config_directory() -> Path:
    """Returns the folder of the framework's own configs.

    A wheel carries it inside the package; in a checkout it stands at top level.
    """
    package = Path(__file__).resolve().parents[1]
    inside_wheel = package / "conf"
    return inside_wheel if inside_wheel.is_dir() else package.parents[1] / "conf"


def options(group: str) -> list[str]:
    """Returns the names of the framework's own options of a group, such as `act`."""
    return sorted(path.stem for path in (config_directory() / group).glob("*.yaml"))


def replaced_options(
    config: Mapping[str, Any], choices: Mapping[str, str], config_dir: Path
) -> list[str]:
    """Returns a sentence for each option of a config that a user's folder has in another version.

    Args:
        config: The composed `Config`.
        choices: The option taken from each group.
        config_dir: A `conf/` folder of the user's own, whose options come before the framework's.
    """
    notes = []
    for file in sorted(config_dir.glob("*/*.yaml")):
        own = config_directory() / file.relative_to(config_dir)
        group, option = file.parent.name, file.stem
        several = config.get(group)  # such as metric=[accuracy,f1]
        is_used = choices.get(group) == option or (
            group not in choices and isinstance(several, Mapping) and option in several
        )
        if is_used and own.is_file() and own.read_bytes() != file.read_bytes():
            notes.append(f"{group}={option}: {file} is used instead of expt's own option.")
    return notes
