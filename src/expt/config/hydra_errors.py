"""Hydra's errors in the users' words."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)

from expt.config.location import options
from expt.errors import UserError, hint, nearest
from expt.record.quoting import quoted, tokens

_CONVERSION = re.compile(
    r"Value '(?P<value>.*)' of type '.*' could not be converted to (?P<type>\w+)"
)
_PARTS = ("data", "model", "act", "loss", "optimizer", "schedule")
_PAIRS = {"[": "]", "{": "}", "(": ")"}
_TYPE_NAMES = {"Integer": "a whole number", "Float": "a number", "Boolean": "true or false"}


@contextmanager
def hydras_errors_as_ours(overrides: list[str]) -> Iterator[None]:
    """Turns what Hydra and OmegaConf raise while they compose into errors for users.

    Args:
        overrides: What the user typed.

    Raises:
        UserError: Something in the overrides or the configs is wrong.
    """
    try:
        yield
    except MissingConfigException as error:
        raise UserError(_missing_config(error)) from error
    except MissingMandatoryValue as error:
        raise UserError(f"{error.full_key} has no value; give one: {error.full_key}=…") from error
    except OverrideParseException as error:
        reason = _unclosed(error.override) or str(error)
        raise UserError(f"{error.override!r} is not of the form key=value: {reason}") from error
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(_composition(error)) from error
    except ValueError as error:
        raise UserError(_value(error, overrides)) from error
    except (TypeError, AttributeError) as error:  # of a list where an option's name must stand
        given = " ".join(overrides)
        raise UserError(
            f"{given}: Hydra can't compose this ({error}). Expected GROUP=OPTION and KEY=VALUE."
        ) from error


def _unclosed(override: str) -> str | None:
    """Describes the bracket or quotation mark of a value that has no counterpart, if any."""
    key, _, value = override.partition("=")
    value, unclosed = value.strip(), list[str]()
    for token in tokens(value):
        if token in _PAIRS:
            unclosed.append(token)
        elif unclosed and token == _PAIRS[unclosed[-1]]:
            unclosed.pop()
    if unclosed:
        reason = f"{unclosed[-1]} is not closed by {_PAIRS[unclosed[-1]]}"
    elif value.startswith(("'", '"')):
        reason = f"{value[0]} does not close at the end of the value"
    else:
        return None
    return f'{reason}. If the value is text, quote it: "{key}={quoted(value)}".'


def _missing_config(error: MissingConfigException) -> str:
    group, _, option = (error.missing_cfg_file or "").rpartition("/")
    valid = error.options or options(group)
    if not group or not valid:
        return str(error)
    return f"{group}={option}: there is no such option. {hint(option, valid)}"


def _value(error: ValueError, overrides: list[str]) -> str:
    """Names the group that was set to null; Hydra does not say which one it was."""
    for group in (o.removesuffix("=null") for o in overrides if o.endswith("=null")):
        if valid := options(group):
            return f"{group}=null: {error}. Valid: {', '.join(valid)}."
    return str(error)


def _composition(error: Exception) -> str:
    cause = error if isinstance(error, OmegaConfBaseException) else error.__cause__
    if not isinstance(cause, OmegaConfBaseException) or cause.full_key is None:
        return str(error)
    key = cause.full_key
    if isinstance(cause, ConfigAttributeError | ConfigKeyError) and cause.parent_node is not None:
        prefix, _, last = key.rpartition(".")
        valid = [str(name) for name in cause.parent_node if name != "hydra"]
        public = [name for name in valid if not name.startswith("_")]
        where = f"in {prefix!r}" if prefix else "at the top level"
        known = f"{key}: there is no key {last!r} {where}. {hint(last, public)}"
        if prefix in _PARTS and nearest(last, public) is None:
            known += f" An argument that the yaml does not list is added so: +{key}=…"
        return known
    message = str(cause).splitlines()[0]
    if match := _CONVERSION.fullmatch(message):
        return f"{key}={match['value']}: expected {_TYPE_NAMES.get(match['type'], match['type'])}."
    if "is not Optional" in message:
        return f"{key}=null: expected a value."
    return f"{key}: {message}."
