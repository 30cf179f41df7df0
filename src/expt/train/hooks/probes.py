"""Hooks that call the probes of a config."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from expt.config.cadence import Cadence
from expt.config.hooks import EVERY_KEY
from expt.config.instantiate import bind_part, call_part
from expt.config.job import Job
from expt.probes.distributions import distributions
from expt.probes.probe import Examples, LossTerm, Probe, Subject
from expt.probes.summary import draw_summary, is_summarized
from expt.record.histograms import read_histograms
from expt.record.journal import FILE_NAME, read_journal
from expt.record.recorder import WITHIN, Image
from expt.train.hooks import Every, Hook, Moment, check_signature
from expt.train.input.batch import Batch
from expt.train.input.pipeline import first_batch
from expt.train.program import Program
from expt.train.step import values_of
from expt.train.terms import layer_names
from expt.train.timeline import Timeline

_NUM_BATCHES = 4  # enough to estimate the noise of gradients


@dataclass(frozen=True)
class EveryProbe(Every):
    """A probe with its cadence.

    The probe is also called before the first step and after the last one. If the probe has a method
    `before`, that method is called one step before the probe is due.

    Attributes:
        before: The probe's method `before`; None if it has none.
    """

    before: Hook | None = None

    def next_due(self, step: int, timeline: Timeline) -> float:
        """Returns the first step after `step` at which the probe or its `before` is due."""
        due = self._next(step, timeline)
        is_early = self.before is not None and due - 1 > step
        return due - 1 if is_early else due

    def is_due(self, moment: Moment) -> bool:
        """Returns whether the probe or its `before` is due at a moment."""
        return super().is_due(moment) or self._is_before(moment)

    def __call__(self, moment: Moment) -> None:
        """Calls the probe, its `before`, or both."""
        if super().is_due(moment):
            self.hook(moment)
        self._call_before(moment)

    def resume(self, moment: Moment) -> None:
        """Calls `before` again if it was due at the last step before the checkpoint.

        Its result is not part of a checkpoint.
        """
        self._call_before(moment)

    def _call_before(self, moment: Moment) -> None:
        if self.before is not None and self._is_before(moment):
            self.before(moment)

    def _is_before(self, moment: Moment) -> bool:
        if self.before is None or moment.is_last:
            return False
        return self._next(moment.step, moment.timeline) == moment.step + 1

    def _next(self, step: int, timeline: Timeline) -> float:
        if self.cadence.count is None:
            return float("inf")
        # The last step counts as due, so that `before` is called one step before it.
        return min(self.cadence.next_due(step, timeline.steps_per_epoch), timeline.total_steps)


def make_probes(
    job: Job, program: Program, directory: Path, drain: Callable[[], None]
) -> list[Every]:
    """Returns the probes of the config's `probe` group, each with its cadence, and their summary.

    Args:
        job: The job.
        program: The program that the probes look at.
        directory: The run's directory.
        drain: Waits until all histograms are in their file.

    Raises:
        UserError: A probe does not accept its arguments.
    """
    if not job.config.probe:
        return []
    subject, made = ProgramSubject(program), list[Every]()
    for name, node in job.config.probe.items():
        arguments = {key: value for key, value in node.items() if key != EVERY_KEY}
        probe = call_part(bind_part(arguments, f"probe.{name}"), f"probe.{name}")
        before = getattr(probe, "before", None)
        for call in (probe, *([] if before is None else [before])):
            check_signature(call, f"probe.{name}", node, "moment: ProbeMoment, subject: Subject")
        made.append(
            EveryProbe(
                Cadence.parse(node[EVERY_KEY]),
                _with_subject(probe, subject),
                at_start=True,
                at_end=True,
                before=None if before is None else _with_subject(before, subject),
            )
        )
    # Any cadence but "never" will do: with "never", `at_end` has no effect.
    last = Cadence(program.timeline.total_steps)
    return [*made, Every(last, DrawSummary(directory, drain), at_end=True)]


class DrawSummary:
    """A `Hook` that draws the records of all probes after the last step.

    Args:
        directory: The run's directory, which also contains the records of previous processes of a
            resumed run.
        drain: Waits until the histograms are in their file.
    """

    def __init__(self, directory: Path, drain: Callable[[], None]) -> None:
        self._directory, self._drain = directory, drain

    def __call__(self, moment: Moment) -> None:
        """Records the figures."""
        self._drain()
        figures = dict(distributions(read_histograms(self._directory)))
        series: dict[str, dict[int, float]] = {}
        for record in read_journal(self._directory / FILE_NAME):
            for name in filter(is_summarized, record):
                series.setdefault(name, {})[record["step"]] = float(record[name])
        if series:
            figures["summary"] = partial(draw_summary, series)
        for name, draw in figures.items():
            # Drawn on the thread of a recorder.
            moment.recorder.write(Image(moment.step, time.time(), f"probes/{name}", draw))


def _with_subject(probe: Probe, subject: Subject) -> Hook:
    def call(moment: Moment) -> None:
        probe(_PrefixedMoment(moment), subject)

    return call


class _PrefixedMoment:
    """A `ProbeMoment` that adds the prefix `within/` to the names of scalars and histograms.

    With the prefix, trackers list them after losses and metrics. Images, which are few, keep their
    names.
    """

    def __init__(self, moment: Moment) -> None:
        self._moment, self.step, self.epoch = moment, moment.step, moment.epoch
        self.is_last, self.values, self.log_image = moment.is_last, moment.values, moment.log_image

    def log(self, values: Mapping[str, float]) -> None:
        """Records scalars at this step."""
        self._moment.log({f"{WITHIN}{name}": value for name, value in values.items()})

    def log_histogram(self, name: str, values: NDArray[np.floating[Any]]) -> None:
        """Records the distribution of values at this step."""
        self._moment.log_histogram(f"{WITHIN}{name}", values)


class ProgramSubject:
    """The `Subject` of a program.

    Args:
        program: The program.
    """

    def __init__(self, program: Program) -> None:
        learner = program.learner
        self._step, self._optimizers = learner.step, learner.optimizers
        self._eager = program.job.config.loop.compile == "eager"
        self.model = learner.model
        self.networks: Sequence[keras.Model] = learner.networks
        self.dataset = program.dataset
        self.weights: Sequence[keras.Variable] = learner.step.weights
        self.layers: Mapping[str, Sequence[int]] = layers_of(learner.networks, self.weights)
        self.batches: Sequence[Examples] = _batches(program)
        self.inputs = _inputs(program, self.batches)
        # The program has been built from the seed, and no checkpoint has been restored yet.
        self.initial: Sequence[NDArray[Any]] = [weight.numpy() for weight in self.weights]
        self.num_losses = len(learner.networks)
        # The index of the network that each weight belongs to.
        self._owners = [
            next(
                number
                for number, network in enumerate(learner.networks)
                if any(one is variable for one in network.trainable_variables)
            )
            for variable in self.weights
        ]

    def values(self) -> list[tf.Tensor]:
        """Returns the current values of the weights."""
        return values_of(self.weights)

    def gradients(
        self, values: Sequence[tf.Tensor], batch: Examples
    ) -> tuple[Sequence[tf.Tensor], Sequence[tf.Tensor]]:
        """Returns the training losses of a batch and their gradients."""
        assert isinstance(batch, Batch)
        computed = self._step.gradients(values, batch, values_of(self._step.states))
        count = len(computed.means) - len(values)
        return computed.means[:count], [
            self._unscaled(gradient, position)
            for position, gradient in enumerate(computed.means[count:])
        ]

    def terms(self, values: Sequence[tf.Tensor], batch: Examples) -> Mapping[str, LossTerm]:
        """Returns the terms of the training losses of a batch, each with its gradients."""
        assert isinstance(batch, Batch)
        if self._step.terms is None:
            losses, gradients = self.gradients(values, batch)
            return {"loss": (tf.add_n(losses), gradients)}
        found = self._step.terms(values, batch, values_of(self._step.states))
        return {
            name: (
                term.value,
                [
                    None if gradient is None else self._unscaled(gradient, position)
                    for position, gradient in enumerate(term.gradients)
                ],
            )
            for name, term in found.items()
        }

    def _unscaled(self, gradient: tf.Tensor, position: int) -> tf.Tensor:
        # mixed_float16 scales the loss, and with it the gradients.
        scale = self._optimizers[self._owners[position]].scale_loss(tf.constant(1.0))
        return tf.cast(gradient, tf.float32) / scale

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Returns a function as a graph; unchanged if the run trains eagerly."""
        if self._eager:
            return function
        compiled: Callable[..., Any] = tf.function(function, autograph=False)
        return compiled


def layers_of(
    networks: Sequence[keras.Model], weights: Sequence[keras.Variable]
) -> dict[str, list[int]]:
    """Returns the positions of the variables of each layer, by the layer's name.

    Args:
        networks: The networks. With several, names begin with that of the network.
        weights: The variables, all of them variables of the networks.
    """
    names = {
        key: f"{network.name}.{name}" if len(networks) > 1 else name
        for network in networks
        for key, name in layer_names(network).items()
    }
    found: dict[str, list[int]] = {}
    for position, variable in enumerate(weights):
        found.setdefault(names[id(variable)], []).append(position)
    return found


def _inputs(program: Program, batches: Sequence[Examples]) -> tf.Tensor:
    if program.task != "generation":
        return tf.concat([batch.inputs for batch in batches], axis=0)
    shape = program.timeline.batch_size, *program.learner.model.input_shape[1:]
    return tf.random.stateless_normal(shape, seed=(program.timeline.seed, 0))


def _batches(program: Program) -> list[Batch]:
    size, dataset = program.timeline.batch_size, program.dataset
    count = max(1, min(_NUM_BATCHES, len(dataset.train) // size))
    # `first_batch` counts in batches of the data set, and with accumulation, a step has several.
    together = first_batch(dataset, count * size // dataset.batch_size)
    return [
        Batch(*(None if values is None else values[start : start + size] for values in together))
        for start in range(0, count * size, size)
    ]
