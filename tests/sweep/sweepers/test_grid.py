"""Tests of the grid sweeper."""

from expt.config.compose import Composition
from expt.sweep.search import first_jobs
from expt.sweep.sweepers.grid import GridSweeper
from expt.train.data_loading import DataLoader

JOBS = [["act=relu", "seed=0"], ["act=relu", "seed=1"], ["act=tanh", "seed=0"]]


class _Composition:
    def combinations(self) -> list[list[str]]:
        return JOBS


def test_all_jobs_are_returned_once() -> None:
    sweeper = GridSweeper(composition=_Composition())
    assert sweeper.ask() == JOBS
    assert sweeper.ask() is None


def test_grid_has_no_search() -> None:
    composition = Composition(["act=relu,tanh", "seed=0,1"], None, multirun=True)
    jobs, search = first_jobs(composition, DataLoader())
    assert jobs == [[f"act={act}", f"seed={seed}"] for act in ("relu", "tanh") for seed in (0, 1)]
    assert search is None
