"""Runs the code examples of the notes, and returns their source with their output."""

import contextlib
import inspect
import io
import textwrap
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from expt.derivatives import notes

_EXAMPLES: tuple[tuple[str, Callable[[], None], str], ...] = (
    ("Watched tensors", notes.watched_tensor, "tapes"),
    ("A tape is read once", notes.tape_read_once, "tapes"),
    ("A persistent tape", notes.persistent_tape, "tapes"),
    ("Second order: a tape in a tape", notes.second_order, "activations"),
    ("Gradient of the sigmoid", notes.sigmoid_gradient, "activations"),
    ("Gradient of tanh", notes.tanh_gradient, "activations"),
    ("Gradients of relu and leaky relu", notes.relu_gradient, "activations"),
    ("Gradient of the mean squared error", notes.mse_gradient, "softmax"),
    ("Gradient of softmax and cross-entropy", notes.crossentropy_gradient, "softmax"),
    ("Perceptron with a single output", notes.single_output_perceptron, "losses"),
    ("Perceptron with several outputs", notes.multi_output_perceptron, "losses"),
    ("Chain rule", notes.chain_rule, "chain-rule"),
    ("Backpropagation in an MLP", notes.mlp_backpropagation, "chain-rule"),
    ("Himmelblau's function", notes.himmelblau_descent, "descent"),
)
"""The title of each example, its function, and the section of the page that it is in."""


@dataclass(frozen=True)
class Example:
    """An example of the notes, after it was run.

    Attributes:
        title: The title.
        name: The name of its function in `expt.derivatives.notes`.
        summary: The first line of its docstring.
        source: Its body.
        output: What it printed.
        section: The section of the page that it is in.
    """

    title: str
    name: str
    summary: str
    source: str
    output: str
    section: str


def run_examples(section: str) -> list[Example]:
    """Runs the examples of a section of the page, in the order of the notes."""
    return [_run(title, function, section) for title, function, of in _EXAMPLES if of == section]


def _run(title: str, function: Callable[[], None], section: str) -> Example:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), np.printoptions(precision=4, suppress=True):
        function()
    summary, body = (function.__doc__ or ""), inspect.getsource(function).partition('"""\n')[2]
    source = textwrap.dedent(body).rstrip()
    return Example(title, function.__name__, summary, source, printed.getvalue().rstrip(), section)
