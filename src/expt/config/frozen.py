"""The frozen config of a recorded run, and changes to it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from expt.config.compose import Job, compose_jobs
from expt.config.declarations import STEP_KEY, part_nodes
from expt.config.full_keys import meant
from expt.config.hydra_errors import convert_hydra_errors, full_keys
from expt.config.hydra_setup import check_config_dir
from expt.config.location import options
from expt.config.overrides import normalize
from expt.config.schema import THREADS, Config, schema
from expt.errors import UserError, hint, nearest

CONFIG_FILE = Path(".hydra") / "config.yaml"
_RENAMED = {
    f"expt.train.{module}.{name}": f"expt.train.learners.{module}.{name}"
    for module, name in (("adversarial", "Adversarial"), ("supervised", "Supervised"))
}
"""Targets of older runs, and their names by now."""


def read_frozen(directory: Path, record: Mapping[str, Any]) -> Job:
    """Returns the job that a run recorded in a directory, as it was when last resumed.

    Args:
        directory: The run's.
        record: The content of its run.json.

    Raises:
        UserError: The config or the record is missing or damaged.
    """
    file = directory / CONFIG_FILE
    try:
        loaded = OmegaConf.merge(schema(), OmegaConf.load(file))
        if OmegaConf.is_missing(loaded.loop, "threads"):
            loaded.loop.threads = _threads_of_older(record)
        config = OmegaConf.to_container(
            loaded, resolve=True, throw_on_missing=True, enum_to_str=True
        )
    # OmegaConf lets through whatever the YAML parser raises.
    except Exception as error:
        raise UserError(f"{file} can't be read: {' '.join(str(error).split())}") from error
    assert isinstance(config, dict)
    try:
        frozen = Config.from_mapping({str(key): value for key, value in config.items()})
        part_nodes(frozen)
    except UserError as error:
        raise UserError(f"{file} is damaged: {error}") from error
    if STEP_KEY in frozen.model:
        learner = present_name(frozen.model[STEP_KEY])
        frozen = frozen.with_values({f"model.{STEP_KEY}": learner})
    try:
        changes = [entry["changes"] for entry in record.get("resumed", [])]
        for change in changes:
            frozen = frozen.with_values(change)
        return Job(frozen, dict(record["choices"]), tuple(record["overrides"]))
    except (UserError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{directory / 'run.json'} is damaged: {error!r}.") from error


def present_name(target: Any) -> Any:
    """Returns the present name of a recorded target; damaged values are returned as they are."""
    return _RENAMED.get(target, target) if isinstance(target, str) else target


def _threads_of_older(record: Mapping[str, Any]) -> int:
    """Returns how many threads an operation had in a run whose config does not say.

    `loop.threads` is younger than such runs: workers of sweeps were given a number by a variable,
    and other processes took as many as there were cores.

    Args:
        record: The content of its run.json, as far as the run has begun.
    """
    environment, machine = record.get("environment"), record.get("machine")
    given = environment.get("TF_NUM_INTRAOP_THREADS") if isinstance(environment, dict) else None
    if isinstance(given, str) and given.isdecimal() and int(given) > 0:
        return int(given)
    processors = machine.get("cpus") if isinstance(machine, dict) else None
    return processors if isinstance(processors, int) and processors > 0 else THREADS


def write_frozen(directory: Path, job: Job, source: Path) -> None:
    """Writes a changed config where Hydra writes that of a run that it composes.

    Args:
        directory: Where to write it; the run's.
        job: What it resolves to.
        source: The directory that the config comes from. Interpolations there stay: what comes
            from the environment may be a secret.
    """
    raw = OmegaConf.load(source / CONFIG_FILE)
    written = _with_interpolations(
        job.config.to_mapping(),
        OmegaConf.to_container(raw, resolve=True, enum_to_str=True),
        OmegaConf.to_container(raw, resolve=False, enum_to_str=True),
    )
    assert isinstance(written, dict)
    ConfigWriter().write(directory, written, job.overrides)


class ConfigWriter:
    """Writes frozen configs into the directories of runs; equal nodes become YAML once."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def write(self, directory: Path, config: Mapping[str, Any], overrides: Sequence[str]) -> None:
        """Writes `.hydra/config.yaml` and `.hydra/overrides.yaml`, as Hydra does.

        Args:
            directory: The run's; it is made if need be.
            config: Plain values, their interpolations as they were written.
            overrides: What the user typed for this job.
        """
        file = directory / CONFIG_FILE
        file.parent.mkdir(parents=True, exist_ok=True)
        nodes = [self._text({key: value}) for key, value in config.items()]
        file.write_text("".join(nodes), encoding="utf-8")
        typed = [self._text([override]) for override in overrides] or ["[]\n"]
        file.with_name("overrides.yaml").write_text("".join(typed), encoding="utf-8")

    def _text(self, node: Any) -> str:
        key = repr(node)
        if key not in self._texts:
            self._texts[key] = OmegaConf.to_yaml(OmegaConf.create(node))
        return self._texts[key]


def _with_interpolations(value: Any, resolved: Any, raw: Any) -> Any:
    """Returns a value with the raw text wherever that resolves to the same."""
    if isinstance(value, dict) and isinstance(resolved, dict) and isinstance(raw, dict):
        return {
            key: _with_interpolations(item, resolved.get(key), raw.get(key))
            for key, item in value.items()
        }
    return raw if value == resolved else value


def with_overrides(
    job: Job, overrides: Sequence[str], config_dir: str | None = None
) -> tuple[Job, dict[str, Any]]:
    """Returns a job with changes.

    Args:
        job: A recorded one.
        overrides: `GROUP=OPTION` for another option of a group, `KEY=VALUE` for a value.
        config_dir: A `conf/` folder of the user's own.

    Returns:
        The job, and the values that were given by their keys.

    Raises:
        UserError: An override is wrong.
    """
    check_config_dir(config_dir)
    overrides = normalize(overrides, multirun=False)
    with convert_hydra_errors(overrides):
        parsed = OverridesParser.create().parse_overrides(overrides)
    for override in parsed:
        if override.is_delete() or override.is_sweep_override():
            raise UserError(
                f"{override.input_line}: a recorded config is changed by KEY=VALUE only, one value "
                "each."
            )
    of_groups = [override for override in parsed if options(override.key_or_group)]
    config, choices = job.config.to_mapping(), dict(job.choices)
    if of_groups:
        changed_groups = [override.key_or_group for override in of_groups]
        given = [
            str(override.input_line)
            for override in parsed
            if override.key_or_group.partition(".")[0] in changed_groups
        ]
        (composed,), _ = compose_jobs(given, config_dir, multirun=False)
        for group in changed_groups:
            if group not in config:
                raise UserError(f"{group}=…: a preset can't be put upon a recorded config.")
            config[group] = composed.config.to_mapping()[group]
            if group in composed.choices:
                choices[group] = composed.choices[group]
    of_values = [override for override in parsed if override not in of_groups]
    with convert_hydra_errors(overrides):
        merged = OmegaConf.merge(schema(), config)
        assert isinstance(merged, DictConfig)
        for override in of_values:
            _set(merged, override)
        container = OmegaConf.to_container(merged, resolve=True, enum_to_str=True)
    assert isinstance(container, dict)
    changed = Job(
        Config.from_mapping({str(key): value for key, value in container.items()}),
        choices,
        (*job.overrides, *overrides),
        job.moved_to,
    )
    return changed, {override.key_or_group: override.value() for override in of_values}


def _set(config: DictConfig, override: Override) -> None:
    """Sets one value; the key must be known, unless a + adds it."""
    key = override.key_or_group
    prefix, _, last = key.rpartition(".")
    node = OmegaConf.select(config, prefix) if prefix else config
    known = [str(name) for name in node] if isinstance(node, DictConfig) else []
    if last not in known and not override.is_add():
        public = [name for name in known if not name.startswith("_")]
        value = str(override.input_line).partition("=")[2]
        question = None if nearest(last, public) else meant(key, value, full_keys(config))
        raise UserError(f"{key}: there is no such key. {question or hint(last, public)}")
    OmegaConf.update(config, key, override.value(), force_add=override.is_add())


def with_data(job: Job, overrides: Sequence[str], config_dir: str | None) -> Job:
    """Returns a job with other data.

    Args:
        job: A recorded one.
        overrides: `data=OPTION` for another source, `data.KEY=VALUE` to change its keys.
        config_dir: A `conf/` folder of the user's own.

    Raises:
        UserError: An override is of something else, or wrong.
    """
    for override in overrides:
        if not override.lstrip("+~").startswith(("data=", "data.")):
            raise UserError(
                f"{override}: only the data of a recorded run can be changed: data=… or data.KEY=…"
            )
    changed, _ = with_overrides(job, overrides, config_dir)
    return replace(job, config=changed.config, choices=changed.choices)
