"""The sections of the report of `expt.gradients`: derivatives, figures and examples."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from expt.config.job import Job
from expt.derivatives.activations import ActivationDerivatives, differentiate_activation
from expt.derivatives.chain_rule import multiply_factors
from expt.derivatives.descent import best_paths
from expt.derivatives.descent_figures import animate_paths, draw_paths
from expt.derivatives.figures import Picture, draw_activation, draw_loss
from expt.derivatives.losses import LossGradient, differentiate_loss
from expt.derivatives.matrix_figures import draw_chain_rule, draw_comparison, draw_jacobians
from expt.derivatives.note_runs import Example, run_examples
from expt.derivatives.selection import GROUPS
from expt.derivatives.softmax import compare_losses, softmax_jacobians
from expt.derivatives.tapes import Difference
from expt.record.phases import Phases


@dataclass(frozen=True)
class Row:
    """A row of the table of differences from closed forms.

    Attributes:
        function: The function, such as `act=relu`.
        first: The largest difference of the gradient or of f'; None if it is not known.
        second: The largest difference of f''; None if it is not known.
    """

    function: str
    first: Difference | None
    second: Difference | None = None

    @property
    def place(self) -> str:
        """Where the larger of the two differences is; empty if there is none."""
        known = [one for one in (self.first, self.second) if one is not None and one.largest]
        return max(known, key=lambda one: one.largest).place if known else ""


@dataclass
class Section:
    """A section of the page.

    Attributes:
        anchor: The name of the section in links.
        title: The title.
        text: An introduction.
        pictures: The figures, in order.
        examples: The examples of the notes that belong to the section.
        rows: The differences from closed forms.
    """

    anchor: str
    title: str
    text: str
    pictures: list[Picture] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)


def make_sections(
    jobs: Mapping[str, Mapping[str, Job]], dtype: str, phases: Phases
) -> list[Section]:
    """Computes and draws everything that is selected.

    Args:
        jobs: By group and option, a job with that option. The section on the chain rule is
            included if all groups are.
        dtype: `float32` or `float64`; Keras' dtype policy must be the same.
        phases: Shows what is being computed.

    Raises:
        UserError: A part can't be made or differentiated.
    """
    sections = [_tapes()]
    if "act" in jobs:
        sections.append(_activations(jobs["act"], dtype, phases))
    if "loss" in jobs:
        sections += [_losses(jobs["loss"], dtype, phases), _softmax(dtype, phases)]
    if len(jobs) == len(GROUPS):
        sections.append(_chain_rule(dtype, phases))
    if "optimizer" in jobs:
        sections.append(_descent(jobs["optimizer"], phases))
    # No phase is shown meanwhile: its lines would be captured as output of the examples.
    phases.end()
    for section in sections:
        section.examples += run_examples(section.anchor)
    return sections


def _tapes() -> Section:
    return Section(
        "tapes",
        "Tapes",
        "A GradientTape records the operations on the tensors that it watches. Reading its "
        "gradient applies the chain rule to the record, from the result backwards.",
    )


def _activations(jobs: Mapping[str, Job], dtype: str, phases: Phases) -> Section:
    section = Section(
        "activations",
        "Activations",
        "Each activation f with f' and f'' by nested tapes, beside the closed form. Where f' is "
        "almost 0, the unit is saturated: the gradient of all layers before it is multiplied by "
        "that number, and vanishes. The grid does not contain the kinks, where f' or f'' has no "
        "value; the captions say what the tapes return there.",
    )
    phases.begin("differentiating activations")
    for name, job in jobs.items():
        phases.update(f"differentiating act={name}")
        result = differentiate_activation(name, job, dtype)
        section.pictures.append(draw_activation(result))
        section.rows.append(_row_of_activation(result))
    return section


def _row_of_activation(result: ActivationDerivatives) -> Row:
    first, second = result.differences
    return Row(f"act={result.name}", first, second)


def _losses(jobs: Mapping[str, Job], dtype: str, phases: Phases) -> Section:
    section = Section(
        "losses",
        "Losses",
        "Each loss and its gradient with respect to the outputs of the model, as one output "
        "varies: the logit of the true class, out of three, or an output with a target value. "
        "p = softmax(z), t is the target (one-hot for a class), n the number of outputs, J the "
        "Jacobian of the softmax.",
    )
    phases.begin("differentiating losses")
    for name, job in jobs.items():
        phases.update(f"differentiating loss={name}")
        results = differentiate_loss(name, job, dtype)
        section.pictures.append(draw_loss(results))
        section.rows += [_row_of_loss(result) for result in results]
    return section


def _row_of_loss(result: LossGradient) -> Row:
    kind = "of logits" if result.of_labels else "of values"
    return Row(f"loss={result.name} {kind}", result.difference)


def _softmax(dtype: str, phases: Phases) -> Section:
    phases.begin("differentiating the softmax")
    jacobians, compared = softmax_jacobians(dtype), compare_losses(dtype)
    rows = [Row(f"softmax Jacobian, z₁ = {one.logits[0]:g}", one.difference) for one in jacobians]
    rows += [Row(f"{one.title} of a softmax", one.difference) for one in compared]
    return Section(
        "softmax",
        "Softmax: mean squared error and cross-entropy",
        "A classifier's probabilities are a softmax of its logits, so the gradient of its loss "
        "goes through the softmax's Jacobian.",
        [draw_jacobians(jacobians), draw_comparison(compared)],
        rows=rows,
    )


def _chain_rule(dtype: str, phases: Phases) -> Section:
    phases.begin("multiplying the factors of the chain rule")
    products = multiply_factors(dtype)
    return Section(
        "chain-rule",
        "The chain rule",
        "Backpropagation multiplies the derivatives of the layers, from the loss backwards.",
        [draw_chain_rule(products)],
        rows=[Row(f"chain rule, {one.result.name}", one.difference) for one in products],
    )


def _descent(jobs: Mapping[str, Job], phases: Phases) -> Section:
    section = Section(
        "descent",
        "Gradient descent",
        "How each optimizer uses the same gradients: on a valley that is much steeper across than "
        "along, on a curved one, and on a function with four minima.",
    )
    paths = []
    phases.begin("trying learning rates")
    for name, job in jobs.items():
        phases.update(f"trying learning rates of optimizer={name}")
        paths.append(best_paths(name, job))
    for of_problem in zip(*paths, strict=True):
        problem = of_problem[0].problem
        phases.update(f"drawing the paths on {problem.title}")
        section.pictures += [draw_paths(problem, of_problem), animate_paths(problem, of_problem)]
    return section


def all_rows(sections: Sequence[Section]) -> Iterator[Row]:
    """Yields the rows of all sections."""
    for section in sections:
        yield from section.rows
