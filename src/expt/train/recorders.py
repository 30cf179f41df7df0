"""The recorders of a run: the journal, the console, and the sinks that the config names."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from expt.config.compose import Job
from expt.config.declarations import metrics_for
from expt.config.instantiate import call, part
from expt.record.console import ConsoleRecorder, Expected, ShownWhileClosing
from expt.record.journal import Journal
from expt.record.phases import Phases
from expt.record.process import SeparateProcess
from expt.record.recorder import Background, Fanout, Recorder
from expt.record.repeated import NotTwice

if TYPE_CHECKING:
    from expt.train.program import Program  # imports Keras

_MLFLOW = "expt.record.mlflow.MLflowRecorder"
_IMAGES = {"_target_": "expt.record.images.ImageRecorder"}


class Sinks:
    """The sinks that configs name, made once and used for run after run.

    Making them early lets those that live in processes of their own start while TensorFlow does.
    """

    def __init__(self, *, with_mlflow: bool = True) -> None:
        """Makes none yet.

        Args:
            with_mlflow: Whether to make MLflow's, too; a sweep has one for all of its workers.
        """
        self._with_mlflow = with_mlflow
        self._made: dict[str, Background] = {}
        self._processes: list[SeparateProcess] = []

    def __call__(self, job: Job) -> list[Recorder]:
        """Returns the sinks of a job.

        Raises:
            UserError: A recorder refuses its arguments.
        """
        nodes = {**job.config.recorder, "images": _IMAGES}
        return [
            self._sink(name, node)
            for name, node in nodes.items()
            if self._with_mlflow or not is_mlflow(node)
        ]

    def _sink(self, name: str, node: Mapping[str, Any]) -> Background:
        key = json.dumps(node, sort_keys=True)
        if key not in self._made:
            sink = call(part(node, f"recorder.{name}"), f"recorder.{name}")
            if isinstance(sink, SeparateProcess):
                self._processes.append(sink)
            self._made[key] = Background(name, sink)
        return self._made[key]

    def stop(self) -> None:
        """Ends their threads and processes."""
        for sink in self._made.values():
            sink.stop()
        for process in self._processes:
            process.stop()


def is_mlflow(node: Mapping[str, Any]) -> bool:
    """Whether a recorder is MLflow's."""
    return bool(node["_target_"] == _MLFLOW)


def make_recorder(
    sinks: Sequence[Recorder],
    phases: Phases,
    expected: Expected,
    first_step: int,
) -> Recorder:
    """Returns the journal, the console and the sinks as one.

    Args:
        sinks: Where to record, beside the journal.
        phases: Show that a sink is being completed; progress is shown on their console.
        expected: Describes what the console shows progress of.
        first_step: The step from which training continues; 0 for a new run.
    """
    shown = [ShownWhileClosing(sink, _title(sink), phases) for sink in sinks]
    journal = NotTwice(Fanout([Journal(), *shown]), first_step)
    return Fanout([journal, ConsoleRecorder(phases.console, expected)])


def expected_length(program: "Program", best: float | None) -> Expected:
    """Returns the length of a run and the metrics that the console shows.

    Args:
        program: What is trained.
        best: The best value of the monitored metric before a continued run.
    """
    timeline, monitor = program.timeline, program.monitor
    shown = ["loss", *metrics_for(program.job, program.task)][:2]
    shown.append(monitor.metric.removeprefix("val/"))
    every = timeline.eval_every.next_due(0, timeline.steps_per_epoch)
    return Expected(
        steps=timeline.total_steps,
        epochs=timeline.epoch_of(timeline.total_steps),
        evaluations=math.ceil(timeline.total_steps / every),
        metrics=list(dict.fromkeys(shown)),
        monitor=monitor.metric,
        gain=monitor.gain,
        best=best,
    )


def _title(sink: Recorder) -> str:
    name = sink.name if isinstance(sink, Background) else type(sink).__name__
    return {"mlflow": "MLflow", "tensorboard": "TensorBoard"}.get(name, name)
