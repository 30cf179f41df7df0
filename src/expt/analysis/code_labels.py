"""The distinction of runs by the code that they ran."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from expt.analysis.compared_run import ComparedRun
from expt.analysis.values import plain

CODE = "code"
"""The name of the added parameter that distinguishes runs of different code."""

_UNKNOWN = "not recorded"
_MOST_NAMED = 5


def label_code(runs: Sequence[ComparedRun]) -> tuple[Sequence[ComparedRun], list[str]]:
    """Adds the parameter `code` to runs if they ran different code.

    Args:
        runs: All runs of the comparison.

    Returns:
        The runs, with the parameter if their code differs, and notes for the reader.
    """
    states: dict[str, set[str]] = {}
    for run in runs:
        for module, state in run.code.items():
            states.setdefault(module, set()).add(state)
    # Runs of different models use different modules; that is a difference of parameters and not of
    # code. Only a module that two runs have in common can differ.
    differing = sorted(module for module, found in states.items() if len(found) > 1)
    known = [run for run in runs if run.code]
    is_changed = any(run.code_changed_at for run in known)
    if not known or not (differing or is_changed or len(known) < len(runs)):
        return runs, []
    labeled = [_labeled(run, differing) for run in runs]
    return labeled, [*_describe_modules(differing, states), *_describe_unknown(runs)]


def _labeled(run: ComparedRun, differing: Sequence[str]) -> ComparedRun:
    label = _label(run, differing)
    return run if label is None else replace(run, params={**run.params, CODE: label})


def _label(run: ComparedRun, differing: Sequence[str]) -> str | None:
    if not run.code:
        # Without a variant the run is unreadable or never started, and has no row in the table.
        return _UNKNOWN if run.variant else None
    if not differing:
        steps = ", ".join(map(str, run.code_changed_at))
        return f"changed at step {steps}" if steps else "unchanged"
    label = _digest({name: run.code[name] for name in differing if name in run.code})
    return " ".join([label, *(f"from step {step}" for step in run.code_changed_at)])


def _digest(modules: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(modules).encode()).hexdigest()[:8]


def _describe_modules(differing: Sequence[str], states: Mapping[str, set[str]]) -> list[str]:
    if not differing:
        return []
    # The user's own modules come first: they change more often than those of expt.
    named = sorted(differing, key=lambda name: (name.startswith("expt."), name))
    parts = [f"{plain(name)} ({len(states[name])} versions)" for name in named[:_MOST_NAMED]]
    more = len(named) - _MOST_NAMED
    tail = f" and {more} more" if more > 0 else ""
    return [f"The runs used different code: {', '.join(parts)}{tail}."]


def _describe_unknown(runs: Sequence[ComparedRun]) -> list[str]:
    count = sum(1 for run in runs if not run.code and run.variant)
    if not count:
        return []
    who = f"{count} runs have" if count > 1 else "1 run has"
    return [f"{who} no record of the code, so it may differ from that of the others."]
