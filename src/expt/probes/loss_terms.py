"""The probe of the terms of the loss: the data loss, penalties, and the losses of a pair."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from expt.probes.probe import LossTerm, ProbeMoment, Subject

Gradients = Sequence[NDArray[np.floating[Any]] | None]


class LossTerms:
    """The value and the gradient of each term of the training loss on the first fixed batch.

    The terms are `data`, the loss of the outputs; and `penalty.LAYER`, the sum of the penalties of
    a layer on its weights and outputs. Those of an adversarial pair are `generator`,
    `discriminator.real` and `discriminator.generated`, the halves of the discriminator's loss on
    the batch and on generated examples. The gradients of all terms come from one forward pass,
    recorded by a persistent tape. For each term, the probe records:

    - `loss_term/TERM`: the value. The values add up to the loss.
    - `term_gradient_norm/TERM`: the L2 norm of its gradient. If that of a penalty is far below that
      of the data, the penalty has no effect; if it is far above, the penalty dominates.
    - `term_gradient_cosine/TERM-TERM`: the cosine between the gradients of two terms, over the
      weights that both depend on. It is negative where the terms work against each other. Not
      recorded for terms that share no weights.
    """

    def __init__(self) -> None:
        self._terms: Any = None

    def __call__(self, moment: ProbeMoment, subject: Subject) -> None:
        """Records the terms at the current weights."""
        if self._terms is None:

            def compute() -> Mapping[str, LossTerm]:
                return subject.terms(subject.values(), subject.batches[0])

            self._terms = subject.compiled(compute)
        logged, gradients = {}, {}
        for name, (value, of_term) in self._terms().items():
            gradients[name] = [_to_array(gradient) for gradient in of_term]
            logged[f"loss_term/{name}"] = float(value)
            norms = [np.linalg.norm(one) for one in gradients[name] if one is not None]
            logged[f"term_gradient_norm/{name}"] = float(np.linalg.norm(norms))
        for (one, of_one), (other, of_other) in combinations(gradients.items(), 2):
            cosine = cosine_of(of_one, of_other)
            if cosine is not None:
                logged[f"term_gradient_cosine/{one}-{other}"] = cosine
        # In mixed_float16, gradients overflow until the loss scale has adapted.
        moment.log({name: value for name, value in logged.items() if np.isfinite(value)})


def _to_array(gradient: tf.Tensor | None) -> NDArray[np.float64] | None:
    return None if gradient is None else np.asarray(gradient, np.float64)


def cosine_of(one: Gradients, other: Gradients) -> float | None:
    """Returns the cosine between two gradients, over the weights that both depend on.

    Args:
        one: The gradient for each weight, None where there is none.
        other: The other gradient, for the same weights.

    Returns:
        The cosine; None if the gradients have no weights in common, or one is 0 there.
    """
    dot = squared_one = squared_other = 0.0
    for a, b in _in_common(one, other):
        dot += float((a * b).sum())
        squared_one += float((a * a).sum())
        squared_other += float((b * b).sum())
    norms = np.sqrt(squared_one) * np.sqrt(squared_other)
    return float(dot / norms) if norms > 0 else None


def _in_common(one: Gradients, other: Gradients) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    for a, b in zip(one, other, strict=True):
        if a is not None and b is not None:
            yield a, b
