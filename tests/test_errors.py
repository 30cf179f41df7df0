import pytest

from expt.errors import Terminated, UserError, hint, nearest

ACTIVATIONS = ["elu", "gelu", "leaky_relu", "relu", "selu", "tanh"]
KEYS = ["act", "beta_1", "epochs", "learning_rate", "output_dir", "seed"]


@pytest.mark.parametrize(
    ("given", "valid", "expected"),
    [
        ("rellu", ACTIVATIONS, "relu"),
        ("tahn", ACTIVATIONS, "tanh"),
        ("sede", KEYS, "seed"),
        ("epoch", KEYS, "epochs"),
        ("learningrate", KEYS, "learning_rate"),
        ("lr", KEYS, "learning_rate"),
        ("od", KEYS, "output_dir"),
        ("rate", KEYS, "learning_rate"),
        ("activation", KEYS, "act"),
        ("leaky", ACTIVATIONS, "leaky_relu"),
        ("zzz", ACTIVATIONS, None),
        ("x", KEYS, None),
        ("", KEYS, None),
        ("relu", [], None),
        ("Relu", ACTIVATIONS, "relu"),
        ("RELU", ACTIVATIONS, "relu"),
        ("AdamW", ["adadelta", "adam", "adamw"], "adamw"),
        ("LR", KEYS, "learning_rate"),
        ("ID", ["id", "ID"], "ID"),
        ("acc", ["accuracy", "auc", "f1"], "accuracy"),
        ("soft", ["softplus", "softmax", "sort"], "softmax"),
        ("ac", ["accuracy", "auc"], "auc"),
        ("target", ["Target ", "Other"], "Target "),
    ],
)
def test_nearest(given: str, valid: list[str], expected: str | None) -> None:
    assert nearest(given, valid) == expected
    assert nearest(given, iter(valid)) == expected


def test_hint_has_nearest_and_sorted_valid_names() -> None:
    assert hint("rellu", ["tanh", "relu"]) == "Did you mean 'relu'? Valid: relu, tanh."
    assert hint("xyz", iter(["b", "a"])) == "Valid: a, b."
    assert hint("x", []) == "Valid: none."


def test_hint_shortens_long_lists() -> None:
    names = [f"c{k:04}" for k in range(2000)]
    found = hint("c0777x", names)
    assert found.startswith("Did you mean 'c0777'? Valid: c0000, c0001, ")
    assert found.endswith("c0024, … (2,000 in all).")


def test_terminated_is_not_an_exception() -> None:
    assert not issubclass(Terminated, Exception)
    assert issubclass(UserError, Exception)
