"""The interfaces of data sources: what `data._target_` must provide."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from expt.parts.data.dataset import Dataset, Task


class Source(Protocol):
    """A data source, the object that a yaml of the group `data` builds.

    The constructor must be cheap, since configs are checked before any data is read; `load` does
    the work.
    """

    @property
    def task(self) -> Task | None:
        """The task of the data; None if it is known only after loading."""
        ...

    def load(self) -> Dataset:
        """Loads the data and splits it.

        Raises:
            UserError: If the data is missing or damaged. The message says how to fix it.
        """
        ...


@runtime_checkable
class WholeSource(Protocol):
    """A source that can also load its data without splitting it, for evaluating a trained model."""

    # The parameter is positional-only, so that implementations may call it `_class_names`.
    def load_whole(self, class_names: Sequence[str], /) -> Dataset:
        """Loads all examples; each split of the returned data set holds all of them.

        Args:
            class_names: The classes that the model was trained on; the data may lack some of them.
                Empty for a regression.

        Raises:
            UserError: If the data is missing or damaged, or has other classes.
        """
        ...
