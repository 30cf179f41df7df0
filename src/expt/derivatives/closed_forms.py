"""Closed forms of the first and second derivatives of Keras' activations, in NumPy.

Sources: I. Goodfellow et al., "Deep Learning", 2016, section 6.3, and the papers named below; the
derivatives follow from the definitions by the rules of differentiation, with σ' = σ (1 - σ) and
tanh' = 1 - tanh².
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

Array = NDArray[np.float64]
_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


@dataclass(frozen=True)
class ClosedForm:
    """The derivatives of an activation as formulas.

    Attributes:
        function: The formula of f(x), as text.
        first: The formula of f'(x), as text.
        second: The formula of f''(x), as text.
        derivatives: Returns f' and f'' at points x; float64, each with the shape of x.
        kinks: The points at which f' or f'' jumps, so that one of them has no value there.
    """

    function: str
    first: str
    second: str
    derivatives: Callable[[Array], tuple[Array, Array]]
    kinks: tuple[float, ...] = ()


def find_closed_form(layer: Any) -> ClosedForm | None:
    """Returns the closed form of an activation layer of Keras.

    Args:
        layer: A built layer, such as `keras.layers.ReLU()`.

    Returns:
        None if the layer, its function or its arguments are not known.
    """
    kind = type(layer).__name__
    if not type(layer).__module__.startswith("keras."):
        return None
    if kind == "Activation":
        function = layer.activation
        is_of_keras = getattr(function, "__module__", "").startswith("keras.")
        return _FUNCTIONS.get(function.__name__) if is_of_keras else None
    return _LAYERS[kind](layer) if kind in _LAYERS else None


def _relu_layer(layer: Any) -> ClosedForm | None:
    if layer.threshold:
        return None
    return relu(float(layer.negative_slope or 0.0), layer.max_value)


def relu(slope: float = 0.0, bound: float | None = None) -> ClosedForm:
    """ReLU, leaky ReLU and ReLU6: s x below 0, x above 0, and b above the bound b.

    Sources: V. Nair, G. Hinton, ICML 2010; A. Maas et al., ICML 2013 (leaky ReLU).
    """
    below = f"{slope:g} x" if slope else "0"
    inside = "x > 0" if bound is None else f"0 < x < {bound:g}"
    beyond = (
        ("", "") if bound is None else (f"; {bound:g} for x > {bound:g}", f"; 0 for x > {bound:g}")
    )

    def derivatives(x: Array) -> tuple[Array, Array]:
        is_inside = (x > 0) if bound is None else (x > 0) & (x < bound)
        return np.where(is_inside, 1.0, np.where(x < 0, slope, 0.0)), np.zeros_like(x)

    return ClosedForm(
        f"{below} for x < 0; x for {inside}{beyond[0]}",
        f"{slope:g} for x < 0; 1 for {inside}{beyond[1]}",
        "0",
        derivatives,
        (0.0,) if bound is None else (0.0, float(bound)),
    )


def elu(
    alpha: float = 1.0, scale: float = 1.0, symbols: tuple[str, str] | None = None
) -> ClosedForm:
    """ELU and SELU: s x above 0, s α (exp(x) - 1) below 0.

    Sources: D. Clevert et al., arXiv:1511.07289; G. Klambauer et al., arXiv:1706.02515.

    Args:
        alpha: α.
        scale: s.
        symbols: The texts for s and s α in the formulas, such as `λ ` and `λα ` for SELU. None
            writes α as a number, and supports only a scale of 1.
    """
    above, below = symbols or ("", "" if alpha == 1 else f"{alpha:g} ")

    def derivatives(x: Array) -> tuple[Array, Array]:
        exponential = scale * alpha * np.exp(np.minimum(x, 0))
        return np.where(x > 0, scale, exponential), np.where(x > 0, 0.0, exponential)

    return ClosedForm(
        f"{below}(exp(x) - 1) for x < 0; {above}x for x > 0",
        f"{below}exp(x) for x < 0; {above.strip() or '1'} for x > 0",
        f"{below}exp(x) for x < 0; 0 for x > 0",
        derivatives,
        (0.0,),
    )


def _sigmoid(x: Array) -> tuple[Array, Array]:
    s = special.expit(x)
    return s * (1 - s), s * (1 - s) * (1 - 2 * s)


def _log_sigmoid(x: Array) -> tuple[Array, Array]:
    s = special.expit(x)
    return special.expit(-x), -s * (1 - s)


def _tanh(x: Array) -> tuple[Array, Array]:
    t = np.tanh(x)
    return 1 - t**2, -2 * t * (1 - t**2)


def _tanh_shrink(x: Array) -> tuple[Array, Array]:
    first, second = _tanh(x)
    return 1 - first, -second


def _softplus(x: Array) -> tuple[Array, Array]:
    s = special.expit(x)
    return s, s * (1 - s)


def _softsign(x: Array) -> tuple[Array, Array]:
    return 1 / (1 + np.abs(x)) ** 2, -2 * np.sign(x) / (1 + np.abs(x)) ** 3


def _silu(x: Array) -> tuple[Array, Array]:
    s = special.expit(x)
    slope = s * (1 - s)
    return s + x * slope, slope * (2 + x * (1 - 2 * s))


def _gelu(x: Array) -> tuple[Array, Array]:
    # TensorFlow rounds 1 / √2 to float32 whatever the type of x, so that its f differs from x Φ(x)
    # by about 1e-8 in float64, too.
    root = 1 / float(np.float32(1 / math.sqrt(2)))
    density = np.exp(-((x / root) ** 2)) / (root * math.sqrt(math.pi))
    return (1 + special.erf(x / root)) / 2 + x * density, 2 * density * (1 - (x / root) ** 2)


def _mish(x: Array) -> tuple[Array, Array]:
    s, t = special.expit(x), np.tanh(np.logaddexp(0, x))
    # The first and second derivative of t.
    first = (1 - t**2) * s
    second = (1 - t**2) * s * (1 - s) - 2 * t * first * s
    return t + x * first, 2 * first + x * second


def _hard_sigmoid(x: Array) -> tuple[Array, Array]:
    return np.where(np.abs(x) < 3, 1 / 6, 0.0), np.zeros_like(x)


def _hard_silu(x: Array) -> tuple[Array, Array]:
    is_inside = np.abs(x) < 3
    return np.where(is_inside, (2 * x + 3) / 6, x > 0), np.where(is_inside, 1 / 3, 0.0)


def _hard_tanh(x: Array) -> tuple[Array, Array]:
    return np.where(np.abs(x) < 1, 1.0, 0.0), np.zeros_like(x)


def _squareplus(x: Array) -> tuple[Array, Array]:
    root = np.sqrt(x**2 + 4)
    return (1 + x / root) / 2, 2 / root**3


def _exponential(x: Array) -> tuple[Array, Array]:
    return np.exp(x), np.exp(x)


def _linear(x: Array) -> tuple[Array, Array]:
    return np.ones_like(x), np.zeros_like(x)


_SILU = ClosedForm("x σ(x)", "σ + x σ (1 - σ)", "σ (1 - σ) (2 + x (1 - 2σ))", _silu)
_HARD_SILU = ClosedForm(
    "x relu6(x + 3) / 6",
    "(2x + 3) / 6 for |x| < 3; 0 for x < -3; 1 for x > 3",
    "1/3 for |x| < 3; else 0",
    _hard_silu,
    (-3.0, 3.0),
)
_FUNCTIONS = {
    "elu": elu(),
    "exponential": ClosedForm("exp(x)", "exp(x)", "exp(x)", _exponential),
    # D. Hendrycks, K. Gimpel, arXiv:1606.08415; φ and Φ are those of the normal distribution.
    "gelu": ClosedForm("x Φ(x)", "Φ(x) + x φ(x)", "φ(x) (2 - x²)", _gelu),
    # A. Howard et al., arXiv:1905.02244, section 5.2.
    "hard_sigmoid": ClosedForm(
        "relu6(x + 3) / 6", "1/6 for |x| < 3; else 0", "0", _hard_sigmoid, (-3.0, 3.0)
    ),
    "hard_silu": _HARD_SILU,
    "hard_swish": _HARD_SILU,
    "hard_tanh": ClosedForm(
        "x for |x| < 1; else sign(x)", "1 for |x| < 1; else 0", "0", _hard_tanh, (-1.0, 1.0)
    ),
    "linear": ClosedForm("x", "1", "0", _linear),
    "log_sigmoid": ClosedForm("log σ(x)", "σ(-x)", "-σ (1 - σ)", _log_sigmoid),
    # D. Misra, arXiv:1908.08681.
    "mish": ClosedForm(
        "x t, t = tanh(softplus(x))",
        "t + x t', t' = (1 - t²) σ",
        "2t' + x t'', t'' = t' (1 - σ) - 2 t t' σ",
        _mish,
    ),
    "relu": relu(),
    "relu6": relu(bound=6.0),
    "selu": elu(_SELU_ALPHA, _SELU_SCALE, ("λ ", "λα ")),
    "sigmoid": ClosedForm("σ(x) = 1 / (1 + exp(-x))", "σ (1 - σ)", "σ (1 - σ) (1 - 2σ)", _sigmoid),
    # P. Ramachandran et al., arXiv:1710.05941.
    "silu": _SILU,
    "softplus": ClosedForm("log(1 + exp(x))", "σ(x)", "σ (1 - σ)", _softplus),
    "softsign": ClosedForm(
        "x / (1 + |x|)", "1 / (1 + |x|)²", "-2 sign(x) / (1 + |x|)³", _softsign, (0.0,)
    ),
    # J. Barron, arXiv:2112.11687, with b = 4.
    "squareplus": ClosedForm(
        "(x + √(x² + 4)) / 2", "(1 + x / √(x² + 4)) / 2", "2 / √(x² + 4)³", _squareplus
    ),
    "swish": _SILU,
    "tanh": ClosedForm("tanh(x)", "1 - tanh²", "-2 tanh (1 - tanh²)", _tanh),
    "tanh_shrink": ClosedForm("x - tanh(x)", "tanh²", "2 tanh (1 - tanh²)", _tanh_shrink),
}
"""The closed forms, by the name of a function in `keras.activations`."""
_LAYERS: dict[str, Callable[[Any], ClosedForm | None]] = {
    "ELU": lambda layer: elu(float(layer.alpha)),
    # TensorFlow's operation holds the slope in float32, whatever the type of its inputs.
    "LeakyReLU": lambda layer: relu(float(np.float32(layer.negative_slope))),
    # The slopes of a new layer are all equal, unless its initializer is random.
    "PReLU": lambda layer: relu(float(np.ravel(layer.alpha)[0])),
    "ReLU": _relu_layer,
}
"""Functions that return the closed form of a layer, by the name of a class in `keras.layers`."""
