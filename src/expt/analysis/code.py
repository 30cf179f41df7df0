"""Which of some runs had the same code."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from expt.analysis.reading import ComparedRun
from expt.analysis.values import plain

CODE = "code"
"""The parameter that distinguishes runs of different code."""

_UNKNOWN = "not recorded"
_MOST_NAMED = 5


def label_code(runs: Sequence[ComparedRun]) -> tuple[Sequence[ComparedRun], list[str]]:
    """Adds a parameter that separates runs of different code; none if all have the same.

    Parts in different modules are no different code: only modules that runs have in common count.

    Args:
        runs: All that are compared.

    Returns:
        The runs, and notes for a reader.
    """
    states: dict[str, set[str]] = {}
    for run in runs:
        for module, state in run.code.items():
            states.setdefault(module, set()).add(state)
    differing = sorted(module for module, found in states.items() if len(found) > 1)
    known = [run for run in runs if run.code]
    is_changed = any(run.code_changed_at for run in known)
    if not known or not (differing or is_changed or len(known) < len(runs)):
        return runs, []
    labelled = [_labelled(run, differing) for run in runs]
    return labelled, [*_on_modules(differing, states), *_on_unknown(runs)]


def _labelled(run: ComparedRun, differing: Sequence[str]) -> ComparedRun:
    label = _label(run, differing)
    return run if label is None else replace(run, params={**run.params, CODE: label})


def _label(run: ComparedRun, differing: Sequence[str]) -> str | None:
    if not run.code:
        return _UNKNOWN if run.variant else None
    if not differing:
        steps = ", ".join(map(str, run.code_changed_at))
        return f"changed at step {steps}" if steps else "unchanged"
    label = _digest({name: run.code[name] for name in differing if name in run.code})
    return " ".join([label, *(f"from step {step}" for step in run.code_changed_at)])


def _digest(modules: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(modules).encode()).hexdigest()[:8]


def _on_modules(differing: Sequence[str], states: Mapping[str, set[str]]) -> list[str]:
    if not differing:
        return []
    named = sorted(differing, key=lambda name: (name.startswith("expt."), name))
    parts = [f"{plain(name)} ({len(states[name])} states)" for name in named[:_MOST_NAMED]]
    more = len(named) - _MOST_NAMED
    tail = f" and {more} more" if more > 0 else ""
    return [f"The runs have different code: {', '.join(parts)}{tail}."]


def _on_unknown(runs: Sequence[ComparedRun]) -> list[str]:
    count = sum(1 for run in runs if not run.code and run.variant)
    if not count:
        return []
    who = f"{count} runs were" if count > 1 else "1 run was"
    return [f"{who} recorded without code; whether it is the others' is unknown."]
