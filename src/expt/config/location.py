"""Where conf/ is."""

from pathlib import Path


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
