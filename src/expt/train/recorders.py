"""The recorders of a run: the journal, the console, and the recorders that the config names.

The latter are called sinks: they run on background threads, and one that fails does not stop
training.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from expt.config.declarations import metrics_for
from expt.config.instantiate import bind_part, call_part
from expt.config.job import Job
from expt.record.background import BackgroundRecorder
from expt.record.console import ClosingPhase, ConsoleRecorder, RunLength
from expt.record.journal import Journal
from expt.record.phases import Phases
from expt.record.process import ProcessRecorder
from expt.record.recorder import Fanout, Recorder
from expt.record.skip_recorded import SkipRecorded

if TYPE_CHECKING:
    from expt.train.program import Program  # imports Keras

_MLFLOW = "expt.record.mlflow.MLflowRecorder"
_ALWAYS = {
    "images": {"_target_": "expt.record.images.ImageRecorder"},
    "histograms": {"_target_": "expt.record.histograms.HistogramRecorder"},
}


class Sinks:
    """A cache of sinks: makes the sinks that a config names, and reuses them for later runs.

    Args:
        with_mlflow: Whether to include the MLflow recorder. The workers of a sweep leave it out,
            since the sweep has one for all of them.
    """

    def __init__(self, *, with_mlflow: bool = True) -> None:
        self._with_mlflow = with_mlflow
        self._made: dict[str, BackgroundRecorder] = {}
        self._processes: list[ProcessRecorder] = []

    def __call__(self, job: Job) -> list[Recorder]:
        """Returns the sinks of a job, starting those that do not exist yet.

        Sinks in separate processes start up in the background. Called before TensorFlow starts,
        they are ready when training begins.

        Raises:
            UserError: A recorder does not accept its arguments.
        """
        # Images and histograms are a part of every run, so that they are no options of the config.
        nodes = {**job.config.recorder, **_ALWAYS}
        return [
            self._sink(name, node)
            for name, node in nodes.items()
            if self._with_mlflow or not is_mlflow(node)
        ]

    def _sink(self, name: str, node: Mapping[str, Any]) -> BackgroundRecorder:
        # Jobs of a sweep may configure a recorder differently, and must not share it then.
        key = json.dumps(node, sort_keys=True)
        if key not in self._made:
            sink = call_part(bind_part(node, f"recorder.{name}"), f"recorder.{name}")
            if isinstance(sink, ProcessRecorder):
                self._processes.append(sink)
            self._made[key] = BackgroundRecorder(name, sink)
        return self._made[key]

    def stop(self) -> None:
        """Ends the threads and processes of all sinks."""
        for sink in self._made.values():
            sink.stop()
        for process in self._processes:
            process.stop()


def check_recorders(jobs: Iterable[Job]) -> None:
    """Checks that the recorders of a sweep's jobs can be made, before workers make them.

    Raises:
        UserError: A recorder does not accept its arguments, or needs a package that is missing.
    """
    # Not needed by runs without this recorder.
    from expt.record.mlflow.recorder import check_arguments

    sinks = Sinks(with_mlflow=False)
    try:
        for job in jobs:
            sinks(job)
            for name, node in job.config.recorder.items():
                if is_mlflow(node):
                    arguments = bind_part(node, f"recorder.{name}").keywords
                    call_part(partial(check_arguments, **arguments), f"recorder.{name}")
    finally:
        sinks.stop()


def is_mlflow(node: Mapping[str, Any]) -> bool:
    """Returns whether a config node is that of the MLflow recorder."""
    return bool(node["_target_"] == _MLFLOW)


def make_recorder(
    sinks: Sequence[Recorder],
    phases: Phases,
    expected: RunLength,
    first_step: int,
) -> Recorder:
    """Returns one recorder that writes to the journal, the sinks and the console.

    Args:
        sinks: The recorders beside the journal and the console.
        phases: Shows which sink is being completed at the end; its console shows progress.
        expected: The length and the metrics of the run, for the display of progress.
        first_step: The step from which training continues; 0 for a new run.
    """
    shown = [ClosingPhase(sink, _title(sink), phases) for sink in sinks]
    # The journal is first: sinks can be rebuilt from it, but not the other way around. The console
    # is outside, since progress is shown for the repeated steps of a resumed run too.
    journal = SkipRecorded(Fanout([Journal(), *shown]), first_step)
    return Fanout([journal, ConsoleRecorder(phases.console, expected)])


def expected_progress(program: "Program", best: float | None) -> RunLength:
    """Returns the length of a run, and the metrics that the console shows.

    Args:
        program: The program that is trained.
        best: The best value of the monitored metric before the run is continued; None for a new
            run.
    """
    timeline, monitor = program.timeline, program.monitor
    # The loss, one metric and the monitored one fit a line of 80 columns.
    shown = ["loss", *metrics_for(program.job, program.task)][:2]
    shown.append(monitor.metric.removeprefix("val/"))
    every = timeline.eval_every.next_due(0, timeline.steps_per_epoch)
    return RunLength(
        steps=timeline.total_steps,
        epochs=timeline.epoch_of(timeline.total_steps),
        evaluations=math.ceil(timeline.total_steps / every),
        metrics=list(dict.fromkeys(shown)),
        monitor=monitor.metric,
        gain=monitor.gain,
        best=best,
    )


def _title(sink: Recorder) -> str:
    name = sink.name if isinstance(sink, BackgroundRecorder) else type(sink).__name__
    return {"mlflow": "MLflow", "tensorboard": "TensorBoard"}.get(name, name)
