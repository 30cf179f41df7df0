"""Which variables weight decay leaves out."""

import re
from collections.abc import Iterable
from typing import Any

_LEFT_OUT = re.compile(
    r"(^|[/_])(bias|gamma|beta|alpha)$|(cls|class)_?token|pos(ition(al)?)?_?embed", re.IGNORECASE
)


def undecayed(variables: Iterable[Any]) -> list[Any]:
    """Returns the variables that recipes leave out of weight decay.

    Those are vectors and scalars, and by their names biases (of attention they are matrices, of a
    vision transformer's patches the embeddings of positions), the scales and offsets of
    normalisation layers, the slopes of PReLU, class tokens and embeddings of positions. Kernels
    decay, and embeddings of words or categories.

    Sources: J. Devlin et al., "BERT", arXiv:1810.04805 (its code: no decay of biases and layer
    norms); H. Touvron et al., "DeiT", arXiv:2012.12877 (its code, with timm's: nor of vectors,
    class tokens and embeddings of positions); for PReLU, K. He et al., "Delving Deep into
    Rectifiers", arXiv:1502.01852, section 2.1.

    Args:
        variables: Keras variables.
    """
    return [v for v in variables if len(v.shape) < 2 or _LEFT_OUT.search(v.path)]
