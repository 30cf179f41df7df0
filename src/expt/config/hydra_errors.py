"""Conversion of the errors of Hydra and OmegaConf to `UserError`."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)

from expt.config.flatten import flatten
from expt.config.full_keys import is_list_key, suggest_group, suggest_key
from expt.config.groups import is_list_group
from expt.config.hydra_groups import GROUPS, describe_plugin
from expt.config.location import options
from expt.config.paths import relative_path
from expt.config.quoting import quote, tokens
from expt.config.schema import PARTS
from expt.errors import UserError, hint, nearest

# Hydra and OmegaConf have no classes or attributes for these errors: their messages are matched.
_CONVERSION = re.compile(
    r"Value '(?P<value>.*)' of type '.*' could not be converted to (?P<type>\w+)"
)
_SEVERAL = re.compile(r"Ambiguous value for argument '(?P<key>[^=']+)=(?P<values>.*)'\n")
_KEY_OF_YAML = re.compile(
    r"In '(?P<group>[^']+)/(?P<option>[^'/]+)': \w+ raised while composing config:\n"
    r"Key '.*' not in '.*'\n\s+full_key: (?P<key>.*)"
)
_PAIRS = {"[": "]", "{": "}", "(": ")"}
_TYPE_NAMES = {"Integer": "a whole number", "Float": "a number", "Boolean": "true or false"}


@contextmanager
def convert_hydra_errors(overrides: list[str], config_dir: str | None = "") -> Iterator[None]:
    """Re-raises the errors of Hydra and OmegaConf as `UserError`, in a `with` block.

    Args:
        overrides: The overrides that are composed in the block.
        config_dir: The user's `conf/` folder; None if `--config-dir` was not given.

    Raises:
        UserError: The overrides or the configs are invalid.
    """
    try:
        yield
    except MissingConfigException as error:
        own = " Own options need --config-dir FOLDER." if config_dir is None else ""
        raise UserError(f"{_describe_missing_option(error)}{own}") from error
    except MissingMandatoryValue as error:
        key = error.full_key
        raise UserError(f"{key} is required but has no value. Set it with {key}=…") from error
    except OverrideParseException as error:
        raise UserError(_describe_parse_error(error)) from error
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(_describe_composition_error(error, overrides)) from error
    except yaml.MarkedYAMLError as error:
        raise UserError(_describe_yaml_error(error)) from error
    except ValueError as error:
        raise UserError(_describe_value_error(error, overrides)) from error
    # Hydra raises these if a list or a mapping is given in place of an option's name.
    except (TypeError, AttributeError) as error:
        given = " ".join(overrides)
        raise UserError(
            f"{given}: Hydra can't compose this ({error}). Expected GROUP=OPTION and KEY=VALUE."
        ) from error


def _describe_yaml_error(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    where = f"{relative_path(mark.name)}, line {mark.line + 1}" if mark is not None else "a yaml"
    reason = (error.problem or str(error)).replace("'\\t' that", "'\\t' (a tab) that")
    return f"{where}: {reason}. Expected YAML, indented by spaces."


def _describe_parse_error(error: OverrideParseException) -> str:
    given, reason = (
        f"{error.override!r} is not of the form key=value",
        _describe_unclosed(error.override),
    )
    if reason is None and "=" not in error.override:
        return f"{given}. {suggest_group(error.override) or 'Expected, for example, act=tanh.'}"
    return f"{given}: {reason or error}"


def _describe_unclosed(override: str) -> str | None:
    """Describes an unclosed bracket or quotation mark in a value; None if there is none."""
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
        reason = f"{value[0]} is not closed at the end of the value"
    else:
        return None
    return f'{reason}. If the value is text, quote it: "{key}={quote(value)}".'


def _describe_missing_option(error: MissingConfigException) -> str:
    group, _, option = (error.missing_cfg_file or "").rpartition("/")
    if group.startswith("hydra/") and group.removeprefix("hydra/") in GROUPS:
        return describe_plugin(group.removeprefix("hydra/"), option)
    valid = error.options or options(group)  # Hydra's list includes those in the user's `conf/`
    if not group or not valid:
        return str(error)
    return f"{group}={option}: there is no such option. {hint(option, valid)}"


def describe_several_values(key: str, values: str) -> str:
    """Describes the error of several values for a key that takes one, and suggests corrections."""
    sweep = f"{key}={values} with -m, to train one job for each"
    if is_list_group(key) or is_list_key(key):
        return f"{key}={values}: expected a list. Did you mean {key}=[{values}], or {sweep}?"
    list_too = f" For a list: {key}=[{values}]." if "." in key else ""
    return f"{key}={values}: expected one value. Did you mean {sweep}?{list_too}"


def _describe_unknown_key(key: str, parent: Any, overrides: Sequence[str]) -> str:
    """Describes the error of a key that is not in the config, with suggestions."""
    prefix, _, last = key.rpartition(".")
    valid = [str(name) for name in parent if name != "hydra"]
    public = [name for name in valid if not name.startswith("_")]
    where = f"in {prefix!r}" if prefix else "at the top level"
    typed = {name.lstrip("+~"): value for name, _, value in (o.partition("=") for o in overrides)}
    given = f"={typed[key]}" if key in typed else ""
    known = f"{key}{given}: there is no key {last!r} {where}."
    # Data sources with an official test split have num_validation instead of split.
    if key == "data.split" and "num_validation" in valid:
        return (
            f"{known} The test split is the official one. To set the number of "
            "training examples that are held out for validation: data.num_validation=…"
        )
    if is_list_group(prefix) and last in options(prefix):
        return f"{key}{given}: the option {last!r} is not chosen. Add it with {prefix}=[{last}]."
    # An unknown key at the top level is probably a short form, such as epochs for loop.epochs.
    near = nearest(last, public) if prefix else None
    question = None if near else suggest_key(key, typed.get(key), list_full_keys(parent))
    if question is not None:
        return f"{known} {question}"
    known += f" {hint(last, public)}"
    if prefix in PARTS and near is None:
        known += f" To add an argument that the yaml does not list: +{key}=…"
    return known


def list_full_keys(node: Any) -> list[str]:
    """Returns all full keys of the config that a node belongs to."""
    root = node
    while root._get_parent() is not None:
        root = root._get_parent()
    container = OmegaConf.to_container(root, resolve=False)
    assert isinstance(container, dict)
    return list(flatten({str(k): v for k, v in container.items() if k != "hydra"}))


def _describe_value_error(error: ValueError, overrides: list[str]) -> str:
    """Describes the error of a value that is not a name; Hydra's message omits the group."""
    for override in OverridesParser.create().parse_overrides(overrides):
        valid = options(override.key_or_group)
        if valid and not isinstance(override.value(), str | list):
            return (
                f"{override.input_line}: expected one of the group's options: {', '.join(valid)}."
            )
    return str(error)


def _describe_key_of_yaml(match: re.Match[str], error: Exception) -> str:
    """Describes the error of a key in an option's yaml that is not in the config."""
    group, option, key = match["group"], match["option"], match["key"]
    file = f"conf/{group}/{option}.yaml"
    if is_list_group(group):
        package = f"# @package {group}.{option}"
        return f"{group}={option}: the first line of {file} must be `{package}`."
    prefix, _, last = key.rpartition(".")
    parent = getattr(error.__cause__ or error.__context__, "parent_node", None)
    names = [str(name) for name in parent if name != "hydra"] if parent is not None else []
    where = f"in {prefix!r}" if prefix else "at the top level"
    return (
        f"{group}={option}: {file} sets {key}, but there is no key {last!r} {where}. "
        f"{hint(last, names)}"
    )


def _describe_composition_error(error: Exception, overrides: Sequence[str]) -> str:
    if match := _KEY_OF_YAML.match(str(error)):
        return _describe_key_of_yaml(match, error)
    if match := _SEVERAL.match(str(error)):
        return describe_several_values(match["key"], match["values"])
    # Hydra wraps OmegaConf's errors, and only the wrapped error has the key.
    cause = error if isinstance(error, OmegaConfBaseException) else error.__cause__
    if not isinstance(cause, OmegaConfBaseException) or cause.full_key is None:
        return str(error)
    key = cause.full_key
    if isinstance(cause, ConfigAttributeError | ConfigKeyError) and cause.parent_node is not None:
        return _describe_unknown_key(key, cause.parent_node, overrides)
    message = str(cause).splitlines()[0]
    if match := _CONVERSION.fullmatch(message):
        return f"{key}={match['value']}: expected {_TYPE_NAMES.get(match['type'], match['type'])}."
    if "is not Optional" in message:
        return f"{key}=null: expected a value other than null."
    return f"{key}: {message}."
