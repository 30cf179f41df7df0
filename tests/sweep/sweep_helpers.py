"""Helpers that make plans of sweeps without training them."""

from collections.abc import Sequence
from pathlib import Path

from expt.config.compose import Composition
from expt.config.job import ComposedJob
from expt.sweep.plan import SweepPlan


def composed(*overrides: str) -> list[ComposedJob]:
    """Composes the jobs of a sweep."""
    return Composition(list(overrides), None, multirun=True).jobs()


def planned(directory: Path, jobs: Sequence[ComposedJob]) -> SweepPlan:
    """Plans jobs and freezes them."""
    plan = SweepPlan.make(directory, jobs, [f"hash {number}" for number, _ in enumerate(jobs)])
    plan.freeze(jobs)
    return plan
