"""What `--cfg` shows: the composed config of a run, or of the jobs of a sweep."""

from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from expt.config.compose import Composed, Composition
from expt.errors import UserError, hint

_HELP = ("hydra_help", "help")
_MISSING = object()


def show(
    composition: Composition, kind: str, package: str | None, *, resolve: bool
) -> Iterator[str]:
    """Yields lines of YAML: a list of the jobs, the first one's config, the others' differences.

    Args:
        composition: The run, or the sweep.
        kind: `job` without Hydra's node, `hydra` for that alone, or `all`.
        package: The full key of the node to be shown alone.
        resolve: Whether to resolve interpolations.

    Raises:
        UserError: There is no node of that key.
    """
    package = None if package == "_global_" else package
    composed, of_hydra = composition.jobs(), _of_hydra(composition.hydra, kind)
    nodes = [_selected(_node(one, of_hydra, kind, resolve=resolve), package) for one in composed]
    if composition.is_sweep:
        yield f"# {len(composed)} jobs" if len(composed) > 1 else "# 1 job"
        yield from (f"# {_title(number, one)}" for number, one in enumerate(composed))
    if package and isinstance(nodes[0], dict | list):
        yield f"# @package {package}"
    yield from _lines(nodes[0])
    for number, one in enumerate(composed[1:], 1):
        different = _different(nodes[number], nodes[0])
        if different is not _MISSING:
            yield f"---\n# {_title(number, one)}; what differs from job 0"
            yield from _lines(different)


def _title(number: int, one: Composed) -> str:
    return f"job {number}: {' '.join(one.job.overrides) or 'the defaults'}"


def _node(
    one: Composed, of_hydra: Mapping[str, Any], kind: str, *, resolve: bool
) -> Mapping[str, Any]:
    """Returns the plain content of what is shown of a job."""
    if kind == "hydra":
        return {"hydra": of_hydra}
    own = one.job.config.to_mapping() if resolve else one.config
    return own if kind == "job" else {"hydra": of_hydra, **own}


def _of_hydra(hydra: DictConfig, kind: str) -> dict[str, Any]:
    """Returns the plain content of Hydra's own node."""
    node = OmegaConf.to_container(hydra, resolve=False, enum_to_str=True)
    assert isinstance(node, dict)
    hidden = _HELP if kind == "hydra" else ()
    return {str(key): value for key, value in node.items() if key not in hidden}


def _selected(node: Any, package: str | None) -> Any:
    """Returns what is at a full key.

    Raises:
        UserError: Nothing is.
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


def _different(node: Any, first: Any) -> Any:
    """Returns the part of a node that differs from the first job's."""
    if node is first:  # as jobs of a sweep share what does not vary
        return _MISSING
    if not isinstance(node, Mapping) or not isinstance(first, Mapping):
        return _MISSING if node == first else node
    parts = {key: _different(value, first.get(key, _MISSING)) for key, value in node.items()}
    gone = {key: None for key in first if key not in node}
    parts = {key: value for key, value in (parts | gone).items() if value is not _MISSING}
    return parts or _MISSING


def _lines(node: Any) -> list[str]:
    if not isinstance(node, dict | list):
        return [str(node)]
    return OmegaConf.to_yaml(OmegaConf.create(node)).splitlines()
