"""URLs of TensorBoard's pages, and the lines that are printed."""

import json
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from expt.servers.entries import Entry, EntryRun, limit_runs
from expt.servers.tensorboard_links import sweep_page, tensorboard_lines

_BOARD = "http://127.0.0.1:6006"


def _sweep(name: str, num_jobs: int) -> Entry:
    runs = [EntryRun(Path(name, str(i)), str(i), (i, 0.0)) for i in range(num_jobs)]
    return Entry(name, Path(name), runs, (0, 0.0), is_sweep=True)


def test_curves_of_loss_and_accuracy_are_pinned() -> None:
    lines = [*tensorboard_lines(_BOARD, [_sweep("a", 3)], 3)]
    assert [label.strip() for label, _ in lines] == ["TensorBoard", "curves", "images", "HParams"]
    _, curves, images, parameters = (text for _, text in lines)
    parts = urlsplit(curves)
    given = parse_qs(parts.query)
    assert (parts.fragment, given["smoothing"]) == ("timeseries", ["0"])
    assert json.loads(given["pinnedCards"][0]) == [
        {"plugin": "scalars", "tag": "loss"},
        {"plugin": "scalars", "tag": "accuracy"},
    ]
    assert (images, parameters) == (f"{_BOARD}/#images", f"{_BOARD}/#hparams")


def test_omitted_runs_are_counted() -> None:
    entry = limit_runs(_sweep("act-seed", 50), 40)
    *_, best, others, command = (text for _, text in tensorboard_lines(_BOARD, [entry], 60))
    assert best == "act-seed: the best 40 of its 50 runs"
    assert others.startswith("40 of 60 runs: ")
    assert command.endswith("python -m expt.ui RUN_OR_SWEEP …")


def test_curves_of_one_sweep() -> None:
    given = parse_qs(urlsplit(sweep_page(_BOARD, _sweep("a+b", 1))).query)
    assert given["runFilter"] == [r"^a\+b/"]
    assert "pinnedCards" in given
