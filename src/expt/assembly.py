"""From a job's config to the objects that train."""

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from expt.config.checks import check, check_task, suits
from expt.config.compose import Job
from expt.config.hashes import flatten
from expt.config.instantiate import part
from expt.errors import UserError
from expt.parts.data.dataset import Dataset, Source
from expt.record.console import ConsoleRecorder
from expt.record.journal import Journal
from expt.record.process import SeparateProcess
from expt.record.recorder import Background, Fanout, Recorder
from expt.train.cadence import Cadence
from expt.train.plan import Plan


class DataLoader:
    """Checks jobs and loads their data, once for all jobs that have the same. No TensorFlow."""

    def __init__(self) -> None:
        self._loaded: dict[str, Dataset] = {}

    def __call__(self, job: Job) -> Dataset:
        """Returns the data of a job.

        Raises:
            UserError: The config is wrong, or the data is missing or damaged.
        """
        check(job)
        source: Source = _call(part(job.config["data"], "data"), "data")
        check_task(job, source.task)
        key = json.dumps(job.config["data"], sort_keys=True)
        if key not in self._loaded:
            self._loaded[key] = _call(source.load, "data")
        return self._loaded[key]


@dataclass(frozen=True)
class Parts:
    """What the config names, made."""

    model: Any
    loss: Callable[..., Any]
    metrics: Mapping[str, Callable[..., Any]]
    optimizer: Any


def make_plan(job: Job, dataset: Dataset) -> Plan:
    """Returns how long the job trains and when it evaluates and draws."""
    loop = job.config["loop"]
    steps_per_epoch = dataset.steps_per_epoch
    return Plan(
        seed=job.config["seed"],
        total_steps=loop["steps"] or loop["epochs"] * steps_per_epoch,
        steps_per_epoch=steps_per_epoch,
        num_examples=len(dataset.train),
        batch_size=dataset.batch_size,
        eval_every=Cadence.parse(loop["eval_every"]),
        image_every=Cadence.parse(loop["image_every"]),
    )


def make_parts(job: Job, dataset: Dataset, total_steps: int) -> Parts:
    """Makes model, loss, metrics and optimizer, the optimizer's variables included.

    Raises:
        UserError: A part refuses its arguments, or does not fit the data.
    """
    config = job.config
    act = part(config["act"], "act")
    model = _call(
        part(config["model"], "model"),
        "model",
        input_shape=dataset.input_shape,
        num_outputs=dataset.num_outputs,
        act=functools.partial(_call, act, "act"),
    )
    schedule = _call(
        part(config["schedule"], "schedule"),
        "schedule",
        learning_rate=config["optimizer"]["learning_rate"],
        total_steps=total_steps,
    )
    optimizer = _call(part(config["optimizer"], "optimizer"), "optimizer", learning_rate=schedule)
    optimizer.build(model.trainable_variables)
    metrics = {
        name: part(node, f"metric.{name}")
        for name, node in config["metric"].items()
        if suits(node, dataset.task)
    }
    return Parts(model, part(config["loss"], "loss"), metrics, optimizer)


_IMAGES = {"_target_": "expt.record.images.ImageRecorder"}


class Sinks:
    """The sinks that configs name, made once and used for run after run.

    Making them early lets those that live in processes of their own start while TensorFlow does.
    """

    def __init__(self) -> None:
        self._made: dict[str, Background] = {}
        self._processes: list[SeparateProcess] = []

    def __call__(self, job: Job) -> list[Recorder]:
        """Returns the sinks of a job.

        Raises:
            UserError: A recorder refuses its arguments.
        """
        nodes = {**job.config["recorder"], "images": _IMAGES}
        return [self._sink(name, node) for name, node in nodes.items()]

    def _sink(self, name: str, node: Mapping[str, Any]) -> Background:
        key = json.dumps(node, sort_keys=True)
        if key not in self._made:
            sink = _call(part(node, f"recorder.{name}"), f"recorder.{name}")
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


def make_recorder(plan: Plan, sinks: Sequence[Recorder], console: Console) -> Recorder:
    """Returns the journal, the console and the sinks as one recorder."""
    display = ConsoleRecorder(console, plan.total_steps, plan.epoch_of(plan.total_steps))
    return Fanout([Journal(), display, *sinks])


def make_params(job: Job) -> dict[str, Any]:
    """Returns what a person would compare of a config: each group's option, and the values.

    Targets, sinks and paths are left out; they are in the frozen config, which is recorded whole.
    """
    values = {
        key: value
        for key, value in flatten(job.config).items()
        if not key.endswith("_target_") and key not in ("name", "output_dir")
    }
    return {**job.choices, **values}


def _call(made: Callable[..., Any], where: str, **supplied: Any) -> Any:
    """Calls what `part` returned, with what the framework supplies."""
    try:
        return made(**supplied)
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: {error}") from error
