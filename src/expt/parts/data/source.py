"""What data parts offer."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from expt.parts.data.dataset import Dataset, Task


class Source(Protocol):
    """What a data part must offer. Making one must be cheap; `load` does the work."""

    @property
    def task(self) -> Task | None:
        """The task of the data; None if that is seen only when it is loaded."""
        ...

    def load(self) -> Dataset:
        """Loads the data.

        Raises:
            UserError: The data is not there or is damaged; the message says what to do.
        """
        ...


@runtime_checkable
class Unsplit(Protocol):
    """Sources that can also load data that is too small to be split."""

    def load_whole(self, class_names: Sequence[str], /) -> Dataset:
        """Loads the data without splitting it: each split of what is returned is the whole.

        Args:
            class_names: The classes that the model knows, of which the data may lack some; empty
                for a regression.

        Raises:
            UserError: The data is not there or is damaged, or has other classes.
        """
        ...
