"""Probes of my own."""

import tensorflow as tf

from expt.probes.probe import ProbeMoment, Subject


class Sharpness:
    """Logs how much the loss rises after a step of a given length along the gradient.

    Source: P. Foret et al., "Sharpness-Aware Minimization", arXiv:2010.01412.

    Args:
        length: The length of the step.
    """

    def __init__(self, *, length: float = 0.05) -> None:
        self._length = length

    def __call__(self, moment: ProbeMoment, subject: Subject) -> None:
        """Logs the difference of the losses on the first batch."""
        values, batch = subject.values(), subject.batches[0]
        (loss,), gradients = subject.gradients(values, batch)
        scale = self._length / tf.linalg.global_norm(gradients)
        climbed = [value + scale * one for value, one in zip(values, gradients, strict=True)]
        (higher,), _ = subject.gradients(climbed, batch)
        moment.log({"sharpness/rise": float(higher - loss)})
