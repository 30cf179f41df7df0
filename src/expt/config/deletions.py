"""The check that overrides such as `~seed` delete no key that every config needs."""

from collections.abc import Sequence
from dataclasses import fields

from expt.config.groups import is_list_group
from expt.config.schema import NODES, Config
from expt.errors import UserError


def check_deletions(overrides: Sequence[str]) -> None:
    """Checks that overrides delete no key that every config needs, as `~loop` would.

    Args:
        overrides: Overrides as typed.

    Raises:
        UserError: An override deletes such a key.
    """
    for override in overrides:
        key = override.removeprefix("~").partition("=")[0]
        if not override.startswith("~") or key not in _required_keys():
            continue
        if key == "sweep":
            expected = "set its keys one by one instead, such as sweep.workers=2"
        elif is_list_group(key):
            expected = f"{key}=[] selects none of its options"
        else:
            expected = f"set another value instead: {key}=…"
        raise UserError(f"{override}: {key} can't be deleted; {expected}.")


def _required_keys() -> set[str]:
    """Returns the keys of the schema, without those inside parts."""
    nested = {f"{name}.{f.name}" for name, node in NODES.items() for f in fields(node)}
    return nested | {f.name for f in fields(Config)}
