"""A finding of the training doctor: what a rule saw, and the usual remedy."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The finding of one rule in a run.

    Attributes:
        rule: The name of the rule, such as `vanishing_gradients`.
        message: What was seen, as a sentence without its final dot.
        layer: The layer that the finding is about; None if it is about the whole model.
        step: The step at which it was seen; None if it holds for the whole run.
        number: The number that was compared with the rule's threshold; always finite.
        remedy: The usual remedy, as an override such as `act=relu`; None if no override helps.
        source: A publication on the fault.
    """

    rule: str
    message: str
    layer: str | None = None
    step: int | None = None
    number: float
    remedy: str | None = None
    source: str

    def __post_init__(self) -> None:
        """Checks that JSON can represent the number."""
        assert math.isfinite(self.number), f"{self.rule}: {self.number}"
