from pathlib import Path

import numpy as np
import pytest
from record_helpers import make_run

from expt.record.histograms import HistogramRecorder, histogram_keys, read_histograms
from expt.record.recorder import Histogram
from expt.runs.run import Status

VALUES = np.array([[0.0, 1.0, 1.5], [2.0, np.nan, np.inf]])


def test_a_histogram_counts_the_finite_values() -> None:
    made = Histogram.of(3, 1.0, "weights/dense", VALUES)
    counts, edges = np.histogram([0.0, 1.0, 1.5, 2.0], 30)
    np.testing.assert_array_equal(made.counts, counts)
    np.testing.assert_array_equal(made.edges, edges)
    assert (made.total, made.squares) == (4.5, 7.25)
    assert not len(Histogram.of(3, 1.0, "weights/dense", np.array([np.nan])).counts)


def test_histograms_are_read_back_exactly(tmp_path: Path) -> None:
    run, recorder = make_run(tmp_path), HistogramRecorder()
    recorder.open(run)
    made = [Histogram.of(step, 1.0, "weights/dense", VALUES / 3 + step) for step in (1, 2)]
    for one in made:
        recorder.write(one)
    recorder.close(Status.FINISHED)
    for one, found in zip(made, read_histograms(run.directory), strict=True):
        np.testing.assert_array_equal(found.edges, one.edges)
        np.testing.assert_array_equal(found.counts, one.counts)
        assert (found.step, found.name, found.total) == (one.step, one.name, one.total)


def test_an_incomplete_last_line_is_removed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run, recorder = make_run(tmp_path), HistogramRecorder()
    recorder.open(run)
    recorder.write(Histogram.of(1, 1.0, "weights/dense", VALUES))
    recorder.close(Status.KILLED)
    with (run.directory / "histograms.jsonl").open("a") as file:
        file.write('{"step": 2, "na')
    assert list(histogram_keys(run.directory)) == [("weights/dense", 1)]
    assert "line 2 is skipped" in caplog.text
    recorder.open(run)
    recorder.write(Histogram.of(2, 1.0, "weights/dense", VALUES))
    recorder.close(Status.FINISHED)
    assert [key[1] for key in histogram_keys(run.directory)] == [1, 2]


def test_a_run_without_histograms_has_no_file(tmp_path: Path) -> None:
    run, recorder = make_run(tmp_path), HistogramRecorder()
    recorder.open(run)
    recorder.close(Status.FINISHED)
    assert not (run.directory / "histograms.jsonl").exists()
    assert not list(read_histograms(run.directory))
