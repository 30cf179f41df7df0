"""Optional imports of Keras that expt does without, because they slow down each start."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_HIDDEN = ("matplotlib.pyplot", "pandas", "sklearn")


@contextmanager
def without_optional_imports() -> Iterator[None]:
    """Hides packages from Keras while it is imported, unless they are imported already.

    Keras tries to import them for its scikit-learn wrappers, its plots of images, and data frames
    as inputs of `fit`. That takes 1.5 of the 4 seconds that `import tensorflow` takes on two cores
    (`python -X importtime -c "import tensorflow"`). Within expt, Keras reports these features as
    not installed. Everyone else can import the packages as usual afterwards.
    """
    hidden = [name for name in _HIDDEN if name not in sys.modules]
    # None in `sys.modules` makes an import raise ModuleNotFoundError.
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name, None)
