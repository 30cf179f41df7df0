"""Checks of the arguments of models, as far as they need neither TensorFlow nor the data.

They are separate from the models so that a wrong argument is reported before TensorFlow is
imported, which takes seconds.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from expt.errors import UserError, hint
from expt.parts.numbers import is_count, is_number


def check_arguments(model: str | None, arguments: Mapping[str, Any]) -> None:
    """Checks the arguments of a model.

    `units` and `dropout` are checked for every model, other arguments for the models of expt.

    Args:
        model: The name of the function that builds it, such as `resnet`; None for a custom model.
        arguments: Values by name; absent ones have their defaults.

    Raises:
        UserError: A value is out of its range.
    """
    check_widths(**_given(arguments, "units"))
    check_fractions(**_given(arguments, "dropout"))
    if model is not None and model in _CHECKS:
        _CHECKS[model](**arguments)
        check_penalties(**_given(arguments, "l1", "l2"))


def _given(arguments: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: arguments[name] for name in names if name in arguments}


# The defaults below are those of the models, since a config may omit any key that has one.
def _resnet(*, depth: Any = 20, width: Any = 16, **_others: Any) -> None:
    check_counts(depth=depth, width=width)
    if depth < 8 or depth % 6 != 2:
        raise UserError(
            f"model.depth={depth}: a resnet with n blocks per stage has 6n + 2 layers; "
            "valid: 8, 14, 20, 26, 32, 38, 44, 50, 56 and so on."
        )


def _vit(
    *,
    patch_size: Any = 4,
    width: Any = 64,
    depth: Any = 4,
    heads: Any = 4,
    mlp_ratio: Any = 2,
    **_others: Any,
) -> None:
    check_counts(patch_size=patch_size, width=width, depth=depth, heads=heads, mlp_ratio=mlp_ratio)
    check_divides("heads", heads, width, f"model.width={width}")


def _cnn(
    *,
    filters: Any = (),
    kernel_size: Any = 3,
    normalization: Any = None,
    **_others: Any,
) -> None:
    check_widths(filters=filters)
    check_counts(kernel_size=kernel_size)
    check_normalization(normalization, ["batch"])


def _mlp(*, normalization: Any = None, residual: Any = False, **_others: Any) -> None:
    check_normalization(normalization, ["batch", "layer"])
    check_switches(residual=residual)


def _autoencoder(*, latent: Any = 16, **_others: Any) -> None:
    check_counts(latent=latent)


def _gan(
    *,
    latent_size: Any = 32,
    generator_units: Any = (),
    discriminator_units: Any = (),
    **_others: Any,
) -> None:
    check_widths(generator_units=generator_units, discriminator_units=discriminator_units)
    check_counts(latent_size=latent_size)


_CHECKS: Mapping[str, Callable[..., None]] = {
    "autoencoder": _autoencoder,
    "cnn": _cnn,
    "gan": _gan,
    "mlp": _mlp,
    "resnet": _resnet,
    "vit": _vit,
}


def check_counts(**counts: object) -> None:
    """Checks that the arguments are whole numbers of at least 1; raises a UserError otherwise."""
    for key, count in counts.items():
        if not is_count(count):
            raise UserError(f"model.{key}={count}: expected a whole number of at least 1.")


def check_widths(**lists: object) -> None:
    """Raises a UserError unless all values, by key, are lists of whole numbers of at least 1."""
    for key, widths in lists.items():
        if not isinstance(widths, list | tuple) or not all(is_count(width) for width in widths):
            raise UserError(
                f"model.{key}={widths}: expected a list of whole numbers of at least 1, "
                "such as [128, 128]."
            )


def check_fractions(**fractions: Any) -> None:
    """Raises a UserError unless all values, by key, are numbers in [0, 1)."""
    for key, fraction in fractions.items():
        if not is_number(fraction) or not 0 <= fraction < 1:
            raise UserError(f"model.{key}={fraction}: expected a number of at least 0 and below 1.")


def check_normalization(normalization: object, valid: Iterable[str]) -> None:
    """Raises a UserError unless a value is None or a valid name."""
    if normalization is not None and normalization not in (names := list(valid)):
        raise UserError(
            f"model.normalization={normalization}: {hint(str(normalization), ['null', *names])}"
        )


def check_penalties(**penalties: Any) -> None:
    """Raises a UserError unless all values, by key, are finite numbers of at least 0."""
    for key, value in penalties.items():
        if not is_number(value) or not 0 <= value < math.inf:
            raise UserError(f"model.{key}={value}: expected a number of at least 0.")


def check_divides(key: str, value: int, number: int, whole: str) -> None:
    """Checks that a value divides a number.

    Args:
        key: The value's key in the model.
        value: The divisor.
        number: The number to divide.
        whole: The number's description, such as `model.width=64`.

    Raises:
        UserError: It does not; the message lists all divisors.
    """
    if number % value:
        valid = ", ".join(str(size) for size in range(1, number + 1) if number % size == 0)
        raise UserError(f"model.{key}={value}: does not divide {whole}; these do: {valid}.")


def check_switches(**switches: object) -> None:
    """Raises a UserError unless all values, by key, are true or false."""
    for key, value in switches.items():
        # In an override, `no` is a text, which Python would count as true.
        if not isinstance(value, bool):
            raise UserError(f"model.{key}={value}: expected true or false.")
