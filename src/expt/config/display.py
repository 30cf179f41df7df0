"""The output of `--cfg`: the composed config of a run, or of the jobs of a sweep."""

from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from expt.config.compose import Composition
from expt.config.job import ComposedJob
from expt.errors import UserError, hint

_HELP = ("hydra_help", "help")
_MISSING = object()


def show(
    composition: Composition, kind: str, package: str | None, *, resolve: bool
) -> Iterator[str]:
    """Yields the lines of a config as YAML.

    For a sweep, these are a list of its jobs as comments, the config of the first job, and a YAML
    document with the differences from the first job for each other job.

    Args:
        composition: The composition of the run or sweep.
        kind: `job` for the config without its `hydra` node, `hydra` for that node alone, or `all`.
        package: The full key of a node that is shown alone; None shows the whole config.
        resolve: Whether to resolve interpolations.

    Raises:
        UserError: The config is invalid, or there is no node at `package`.
    """
    package = None if package == "_global_" else package  # Hydra's name of the top level
    composed, hydra = composition.jobs(), _hydra_node(composition.hydra, kind)
    nodes = [_select(_job_node(one, hydra, kind, resolve=resolve), package) for one in composed]
    if composition.is_sweep:
        yield f"# {len(composed)} jobs" if len(composed) > 1 else "# 1 job"
        yield from (f"# {_title(number, one)}" for number, one in enumerate(composed))
    # With this header, as Hydra prints it, the text can be saved as the yaml of an option.
    if package and isinstance(nodes[0], dict | list):
        yield f"# @package {package}"
    yield from _yaml_lines(nodes[0])
    for number, one in enumerate(composed[1:], 1):
        different = _differences(nodes[number], nodes[0])
        if different is not _MISSING:
            yield f"---\n# {_title(number, one)}; differences from job 0"
            yield from _yaml_lines(different)


def _title(number: int, one: ComposedJob) -> str:
    return f"job {number}: {' '.join(one.job.overrides) or 'defaults'}"


def _job_node(
    one: ComposedJob, hydra: Mapping[str, Any], kind: str, *, resolve: bool
) -> Mapping[str, Any]:
    """Returns the plain values of a job that are shown."""
    if kind == "hydra":
        return {"hydra": hydra}
    own = one.job.config.to_mapping() if resolve else one.config
    return own if kind == "job" else {"hydra": hydra, **own}


def _hydra_node(hydra: DictConfig, kind: str) -> dict[str, Any]:
    """Returns the plain values of the `hydra` node."""
    node = OmegaConf.to_container(hydra, resolve=False, enum_to_str=True)
    assert isinstance(node, dict)
    # As in Hydra, --cfg hydra hides the long help texts, and --cfg all shows them.
    hidden = _HELP if kind == "hydra" else ()
    return {str(key): value for key, value in node.items() if key not in hidden}


def _select(node: Any, package: str | None) -> Any:
    """Returns the node at a full key.

    Raises:
        UserError: There is no node at the key.
    """
    place = ""
    for key in package.split(".") if package else ():
        if not isinstance(node, Mapping) or key not in node:
            known = [str(name) for name in node] if isinstance(node, Mapping) else []
            where = f"in {place!r}" if place else "at the top level"
            raise UserError(
                f"--package {package}: there is no key {key!r} {where}. {hint(key, known)}"
            )
        node, place = node[key], f"{place}.{key}" if place else key
    return node


def _differences(node: Any, first: Any) -> Any:
    """Returns the values of a node that differ from those of the first job.

    Keys that only the first job has are null. Equal nodes return `_MISSING`.
    """
    if node is first:  # jobs of a sweep share the nodes that no override changes
        return _MISSING
    if not isinstance(node, Mapping) or not isinstance(first, Mapping):
        return _MISSING if node == first else node
    parts = {key: _differences(value, first.get(key, _MISSING)) for key, value in node.items()}
    gone = {key: None for key in first if key not in node}
    parts = {key: value for key, value in (parts | gone).items() if value is not _MISSING}
    return parts or _MISSING


def _yaml_lines(node: Any) -> list[str]:
    if not isinstance(node, dict | list):
        return [str(node)]
    return OmegaConf.to_yaml(OmegaConf.create(node)).splitlines()
