import inspect

import pytest

from expt.derivatives import notes
from expt.derivatives.note_runs import run_examples

SECTIONS = ("tapes", "activations", "losses", "softmax", "chain-rule", "descent")
EXAMPLES = [example for section in SECTIONS for example in run_examples(section)]
OUTPUT = {example.name: example.output for example in EXAMPLES}


def test_every_example_is_run_and_shown() -> None:
    functions = inspect.getmembers(notes, inspect.isfunction)
    assert OUTPUT.keys() == {name for name, _ in functions}
    for example in EXAMPLES:
        assert example.output
        assert example.summary.endswith(".")
        assert "GradientTape" in example.source
        assert '"""' not in example.source


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("watched_tensor", "numpy=2.0>, None, <tf.Tensor: shape=(), dtype=float32, numpy=1.0>]"),
        ("tape_read_once", "RuntimeError: A non-persistent GradientTape"),
        ("persistent_tape", "dz/dx = 108.0\ndy/dx = 6.0"),
        ("second_order", "d²y/dw² = 6.0"),
        ("sigmoid_gradient", "σ' = [0.     0.0066 0.25   0.0066 0.    ]"),
        ("relu_gradient", "leaky relu' = [0.2 0.2 1.  1. ]"),
        ("chain_rule", "dy2/dy1 · dy1/dw1 = 2.0\ndy2/dw1           = 2.0"),
        ("himmelblau_descent", "from [-4.0, 0.0]: x = [-3.7793 -3.2832]"),
    ],
)
def test_outputs(name: str, expected: str) -> None:
    assert expected in OUTPUT[name]


def test_formulas_by_hand_agree_with_tapes() -> None:
    crossentropy = OUTPUT["crossentropy_gradient"].splitlines()
    assert crossentropy[-1].removeprefix("mean of p - y = ") == crossentropy[-2]
    perceptron = OUTPUT["single_output_perceptron"].splitlines()
    by_tape = perceptron[0].removeprefix("dl/dw = ").partition("  dl/db")[0]
    assert perceptron[1].removeprefix("by the formula: ") == by_tape
    for part in OUTPUT["mlp_backpropagation"].split("by hand, ")[1:]:
        by_hand, tape = part.partition("\n")[2].split("tape:\n")
        assert by_hand.strip() == tape.strip()
