"""Reading, changing and writing the frozen config of a recorded run."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from expt.config.compose import compose_jobs
from expt.config.declarations import LEARNER_KEY, part_nodes
from expt.config.full_keys import suggest_key
from expt.config.hydra_errors import convert_hydra_errors, list_full_keys
from expt.config.hydra_schema import schema
from expt.config.hydra_setup import check_config_dir
from expt.config.job import Job
from expt.config.location import options
from expt.config.overrides import normalize
from expt.config.schema import THREADS, Config
from expt.errors import UserError, hint, nearest

CONFIG_FILE = Path(".hydra") / "config.yaml"
_RENAMED = {
    f"expt.train.{module}.{name}": f"expt.train.learners.{module}.{name}"
    for module, name in (("adversarial", "Adversarial"), ("supervised", "Supervised"))
}
"""Current names of targets that moved since older runs were recorded."""


def read_frozen(directory: Path, record: Mapping[str, Any]) -> Job:
    """Returns the job of a recorded run, including the changes of later resumes.

    Args:
        directory: The run's directory.
        record: The content of the run's run.json.

    Raises:
        UserError: The config or the record is missing or damaged.
    """
    file = directory / CONFIG_FILE
    if not file.exists():
        raise UserError(
            f"{file} is missing. A recording of expt.gradients has none, since it trains nothing; "
            "that of a training must be restored from a backup."
        )
    try:
        loaded = OmegaConf.merge(schema(), OmegaConf.load(file))
        # Merging into the schema leaves keys missing that are newer than the run.
        if OmegaConf.is_missing(loaded.loop, "threads"):
            loaded.loop.threads = _threads_of_older(record)
        config = OmegaConf.to_container(
            loaded, resolve=True, throw_on_missing=True, enum_to_str=True
        )
    # A damaged file can raise anything, because OmegaConf passes on the YAML parser's exceptions.
    except Exception as error:
        raise UserError(f"{file} can't be read: {' '.join(str(error).split())}") from error
    assert isinstance(config, dict)
    try:
        frozen = Config.from_mapping({str(key): value for key, value in config.items()})
        part_nodes(frozen)
    except UserError as error:
        raise UserError(f"{file} is damaged: {error}") from error
    if LEARNER_KEY in frozen.model:
        learner = current_name(frozen.model[LEARNER_KEY])
        frozen = frozen.with_values({f"model.{LEARNER_KEY}": learner})
    try:
        # A resume records its overrides in run.json, and leaves the config of the start as it was.
        changes = [entry["changes"] for entry in record.get("resumed", [])]
        for change in changes:
            frozen = frozen.with_values(change)
        return Job(frozen, dict(record["choices"]), tuple(record["overrides"]))
    except (UserError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{directory / 'run.json'} is damaged: {error!r}.") from error


def current_name(target: Any) -> Any:
    """Returns the current name of a recorded target; returns damaged values unchanged."""
    return _RENAMED.get(target, target) if isinstance(target, str) else target


def _threads_of_older(record: Mapping[str, Any]) -> int:
    """Returns the number of threads per operation of a run that is older than `loop.threads`.

    Such a run used the number in an environment variable if it belonged to a sweep, and otherwise
    one thread per core. Another number would round sums differently, so that the run would not
    resume bit for bit.

    Args:
        record: The content of the run's run.json, which lacks keys if the run never started.
    """
    environment, machine = record.get("environment"), record.get("machine")
    given = environment.get("TF_NUM_INTRAOP_THREADS") if isinstance(environment, dict) else None
    if isinstance(given, str) and given.isdecimal() and int(given) > 0:
        return int(given)
    processors = machine.get("cpus") if isinstance(machine, dict) else None
    return processors if isinstance(processors, int) and processors > 0 else THREADS


def write_frozen(directory: Path, job: Job, source: Path) -> None:
    """Writes the config of a job to `.hydra/` in a run's directory.

    Args:
        directory: The run's directory.
        job: The job, whose config was changed since it was read.
        source: The directory of the run that the config was read from. Interpolations in its file
            are kept where their value is unchanged, because values from the environment may be
            secrets.
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
    """A writer of frozen configs that caches the YAML of equal nodes.

    The jobs of a sweep have most nodes in common, and OmegaConf is slow to convert them.
    """

    def __init__(self) -> None:
        self._yaml: dict[str, str] = {}

    def write(self, directory: Path, config: Mapping[str, Any], overrides: Sequence[str]) -> None:
        """Writes `.hydra/config.yaml` and `.hydra/overrides.yaml`, as Hydra does.

        Args:
            directory: The run's directory, which is created if it does not exist.
            config: The config as plain values with unresolved interpolations.
            overrides: The user's overrides for this job.
        """
        file = directory / CONFIG_FILE
        file.parent.mkdir(parents=True, exist_ok=True)
        # Converting node by node lets jobs share the YAML of the nodes that do not vary.
        nodes = [self._to_yaml({key: value}) for key, value in config.items()]
        file.write_text("".join(nodes), encoding="utf-8")
        typed = [self._to_yaml([override]) for override in overrides] or ["[]\n"]
        file.with_name("overrides.yaml").write_text("".join(typed), encoding="utf-8")

    def _to_yaml(self, node: Any) -> str:
        key = repr(node)
        if key not in self._yaml:
            self._yaml[key] = OmegaConf.to_yaml(OmegaConf.create(node))
        return self._yaml[key]


def _with_interpolations(value: Any, resolved: Any, raw: Any) -> Any:
    """Returns a value with the raw text wherever the raw text resolves to the same value."""
    if isinstance(value, dict) and isinstance(resolved, dict) and isinstance(raw, dict):
        return {
            key: _with_interpolations(item, resolved.get(key), raw.get(key))
            for key, item in value.items()
        }
    return raw if value == resolved else value


def with_overrides(
    job: Job, overrides: Sequence[str], config_dir: str | None = None
) -> tuple[Job, dict[str, Any]]:
    """Returns a recorded job with some overrides applied to its config.

    Args:
        job: The recorded job.
        overrides: `GROUP=OPTION` for another option of a group, `KEY=VALUE` for a value.
        config_dir: The user's `conf/` folder, if any.

    Returns:
        The changed job, and the values of the `KEY=VALUE` overrides by key.

    Raises:
        UserError: An override is invalid.
    """
    check_config_dir(config_dir)
    overrides = normalize(overrides, multirun=False)
    with convert_hydra_errors(overrides):
        parsed = OverridesParser.create().parse_overrides(overrides)
    for override in parsed:
        if override.is_delete() or override.is_sweep_override():
            raise UserError(
                f"{override.input_line}: expected KEY=VALUE with one value; a recorded config "
                "can't be swept, and its keys can't be deleted."
            )
    of_groups = [override for override in parsed if options(override.key_or_group)]
    config, choices = job.config.to_mapping(), dict(job.choices)
    if of_groups:
        # Hydra composes a new option of a group from the defaults, together with the values that
        # are overridden inside the group. Only that node is then taken from its result.
        changed_groups = [override.key_or_group for override in of_groups]
        given = [
            str(override.input_line)
            for override in parsed
            if override.key_or_group.partition(".")[0] in changed_groups
        ]
        (composed,), _ = compose_jobs(given, config_dir, multirun=False)
        for group in changed_groups:
            if group not in config:
                raise UserError(f"{group}=…: a preset can't be applied to a recorded config.")
            config[group] = composed.config.to_mapping()[group]
            if group in composed.choices:
                choices[group] = composed.choices[group]
    of_values = [override for override in parsed if override not in of_groups]
    with convert_hydra_errors(overrides):
        # The schema converts values to their types, and raises errors for those of other types.
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
        job.current_output_dir,
    )
    return changed, {override.key_or_group: override.value() for override in of_values}


def _set(config: DictConfig, override: Override) -> None:
    """Sets the value of one override, whose key must exist unless a `+` adds it."""
    key = override.key_or_group
    prefix, _, last = key.rpartition(".")
    node = OmegaConf.select(config, prefix) if prefix else config
    known = [str(name) for name in node] if isinstance(node, DictConfig) else []
    if last not in known and not override.is_add():
        public = [name for name in known if not name.startswith("_")]
        value = str(override.input_line).partition("=")[2]
        question = (
            None if nearest(last, public) else suggest_key(key, value, list_full_keys(config))
        )
        raise UserError(f"{key}: there is no such key. {question or hint(last, public)}")
    OmegaConf.update(config, key, override.value(), force_add=override.is_add())


def with_data(job: Job, overrides: Sequence[str], config_dir: str | None) -> Job:
    """Returns a recorded job with other data.

    Args:
        job: The recorded job.
        overrides: `data=OPTION` for another source, `data.KEY=VALUE` to change its keys.
        config_dir: The user's `conf/` folder, if any.

    Raises:
        UserError: An override is invalid, or changes anything but the data.
    """
    for override in overrides:
        if not override.lstrip("+~").startswith(("data=", "data.")):
            raise UserError(
                f"{override}: only the data of a recorded run can be changed. Expected data=… or "
                "data.KEY=…"
            )
    changed, _ = with_overrides(job, overrides, config_dir)
    return replace(job, config=changed.config, choices=changed.choices)
