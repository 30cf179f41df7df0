"""The search of a sweep: its sweeper, and the composition of the jobs that it proposes."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from expt.config.compose import Composition
from expt.config.instantiate import bind_part, call_part
from expt.config.job import ComposedJob
from expt.errors import UserError
from expt.sweep.plan import SweepPlan
from expt.sweep.sweepers import Sweeper
from expt.train.data_loading import DataLoader

Compose = Callable[[Sequence[Sequence[str]], int], Iterable[ComposedJob]]
"""Composes jobs from the overrides of each job and the index of the first one in the sweep."""

KEY, DONE_KEY = "search", "is_done"
"""Keys in sweep.json, present if the sweeper may add jobs after the first ones or has done so."""


@dataclass(frozen=True)
class Search:
    """A source of further jobs for a sweep.

    Attributes:
        sweeper: Proposes the jobs.
        compose: Composes the jobs.
        load: Checks the jobs and loads their data.
        varied: Keys that the sweeper varies.
        arguments: Arguments of `make_search`, stored in sweep.json, from which a resumed sweep
            creates the search again.
    """

    sweeper: Sweeper
    compose: Compose
    load: DataLoader
    varied: Sequence[str]
    arguments: Mapping[str, Any]


def first_jobs(composition: Composition, load: DataLoader) -> tuple[list[list[str]], Search | None]:
    """Returns the overrides of a new sweep's first jobs, and the search if more jobs may follow.

    Args:
        composition: The composition of the command line's arguments.
        load: Checks the later jobs and loads their data.

    Raises:
        UserError: The sweeper can't be created, it proposes no jobs, or a value on the command
            line is wrong.
    """
    sweeper = _make_sweeper(composition)
    # The second call shows whether there are jobs to come: only None means that there are not.
    asked, more = sweeper.ask() or (), sweeper.ask()
    jobs = [list(one) for one in (*asked, *(more or ()))]
    if not jobs:
        raise UserError(
            f"sweeper={composition.sweeper['_target_']}: it has no jobs; expected at least one."
        )
    return jobs, None if more is None else _search(composition, sweeper, load)


def make_search(arguments: Mapping[str, Any], load: DataLoader) -> Search:
    """Creates the search of an interrupted sweep again, with a sweeper that knows no jobs yet.

    Args:
        arguments: Arguments of the search, from sweep.json.
        load: Checks the later jobs and loads their data.

    Raises:
        UserError: The options that the sweep was composed of no longer exist, or have become
            invalid.
    """
    composition = Composition(arguments["overrides"], arguments["config_dir"], multirun=True)
    return _search(composition, _make_sweeper(composition), load)


def _make_sweeper(composition: Composition) -> Sweeper:
    sweeper: Sweeper = call_part(
        bind_part(composition.sweeper, "sweeper"), "sweeper", composition=composition
    )
    return sweeper


def _search(composition: Composition, sweeper: Sweeper, load: DataLoader) -> Search:
    arguments = {"overrides": composition.overrides, "config_dir": composition.config_dir}
    return Search(sweeper, composition.compose, load, composition.swept_keys, arguments)


def search_facts(search: Search) -> dict[str, Any]:
    """Returns the facts to store in a plan, so that `make_search` can create the search again."""
    return {KEY: {**search.arguments, DONE_KEY: False}}


def search_arguments(plan: SweepPlan) -> dict[str, Any] | None:
    """Returns the arguments of a plan's search; None if the sweeper has no more jobs."""
    facts = dict(plan.facts.get(KEY) or {DONE_KEY: True})
    return None if facts.pop(DONE_KEY, False) else facts
