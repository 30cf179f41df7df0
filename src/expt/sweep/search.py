"""The search behind a sweep: its sweeper, and how the jobs that it asks for are composed."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from expt.config.compose import Composed, Composition
from expt.config.instantiate import call, part
from expt.errors import UserError
from expt.sweep.plan import SweepPlan
from expt.sweep.sweepers import Sweeper
from expt.train.data_loading import DataLoader

Compose = Callable[[Sequence[Sequence[str]], int], Iterable[Composed]]
"""Composes jobs, from the overrides of each and the number of the first in its sweep."""

KEY, DONE_KEY = "search", "is_done"
"""In sweep.json, of a sweep whose sweeper has more jobs or had."""


@dataclass(frozen=True)
class Search:
    """Where the later jobs of a sweep come from.

    Attributes:
        sweeper: Asks for them.
        compose: Composes them.
        load: Checks them and loads their data.
        varied: The keys that the sweeper varies.
        arguments: Kept in sweep.json, so that a resumed sweep can make the search again.
    """

    sweeper: Sweeper
    compose: Compose
    load: DataLoader
    varied: Sequence[str]
    arguments: Mapping[str, Any]


def first_jobs(composition: Composition, load: DataLoader) -> tuple[list[list[str]], Search | None]:
    """Returns the overrides of a new sweep's first jobs, and the search if there may be more.

    Args:
        composition: What the command line asks for.
        load: Checks the later jobs and loads their data.

    Raises:
        UserError: The sweeper is wrong, or the values of the command line are.
    """
    sweeper = _make_sweeper(composition)
    asked, more = sweeper.ask() or (), sweeper.ask()
    jobs = [list(one) for one in (*asked, *(more or ()))]
    if not jobs:
        raise UserError(f"sweeper={composition.sweeper['_target_']}: it asks for no jobs.")
    return jobs, None if more is None else _search(composition, sweeper, load)


def make_search(arguments: Mapping[str, Any], load: DataLoader) -> Search:
    """Makes the search of an interrupted sweep again; its sweeper knows no jobs yet.

    Args:
        arguments: Of the search, from sweep.json.
        load: Checks the later jobs and loads their data.

    Raises:
        UserError: The options that the sweep was composed of are gone or wrong by now.
    """
    composition = Composition(arguments["overrides"], arguments["config_dir"], multirun=True)
    return _search(composition, _make_sweeper(composition), load)


def _make_sweeper(composition: Composition) -> Sweeper:
    sweeper: Sweeper = call(
        part(composition.sweeper, "sweeper"), "sweeper", composition=composition
    )
    return sweeper


def _search(composition: Composition, sweeper: Sweeper, load: DataLoader) -> Search:
    arguments = {"overrides": composition.overrides, "config_dir": composition.config_dir}
    return Search(sweeper, composition.compose, load, composition.swept_keys, arguments)


def search_facts(search: Search) -> dict[str, Any]:
    """Returns the facts of a plan from which its search can be made again."""
    return {KEY: {**search.arguments, DONE_KEY: False}}


def search_arguments(plan: SweepPlan) -> dict[str, Any] | None:
    """Returns the arguments of a plan's search; None if its sweeper has no more jobs."""
    facts = dict(plan.facts.get(KEY) or {DONE_KEY: True})
    return None if facts.pop(DONE_KEY, False) else facts
