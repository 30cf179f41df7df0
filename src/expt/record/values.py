"""How values of metrics are shown to people."""


def format_value(value: float) -> str:
    """Returns a value with four decimals, or in the scientific notation where these would say 0.

    A mean absolute error of 2e-13 ampere is not `0.0000`.
    """
    is_plain = value == 0 or 1e-3 <= abs(value) < 1e6 or value != value
    return f"{value:.4f}" if is_plain else f"{value:.3e}"
