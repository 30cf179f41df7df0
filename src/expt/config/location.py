"""The location of `conf/`, and its options compared with those of the user's `conf/` folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def config_directory() -> Path:
    """Returns the folder of expt's own configs.

    In a wheel it is inside the package; in a checkout it is at the top level.
    """
    package = Path(__file__).resolve().parents[1]
    inside_wheel = package / "conf"
    return inside_wheel if inside_wheel.is_dir() else package.parents[1] / "conf"


def options(group: str) -> list[str]:
    """Returns the names of expt's own options of a group, such as `act`, in alphabetical order."""
    return sorted(path.stem for path in (config_directory() / group).glob("*.yaml"))


def replaced_options(
    config: Mapping[str, Any], choices: Mapping[str, str], config_dir: Path
) -> list[str]:
    """Returns a note for each chosen option of expt that the user's folder replaces.

    Args:
        config: The values of the composed config.
        choices: The option chosen from each group.
        config_dir: The user's `conf/` folder, whose options take precedence over those of expt.
    """
    notes = []
    for file in sorted(config_dir.glob("*/*.yaml")):
        own = config_directory() / file.relative_to(config_dir)
        group, option = file.parent.name, file.stem
        several = config.get(group)  # such as metric=[accuracy,f1]
        is_used = choices.get(group) == option or (
            group not in choices and isinstance(several, Mapping) and option in several
        )
        # A copy with the same content changes nothing, and needs no note.
        if is_used and own.is_file() and own.read_bytes() != file.read_bytes():
            notes.append(f"{group}={option}: {file} is used instead of expt's own option.")
    return notes
