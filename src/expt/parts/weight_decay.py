"""The variables that are excluded from weight decay."""

import re
from collections.abc import Iterable
from typing import Any

# Matched by path, such as `dense_1/bias`, since a Keras variable does not state its role.
_LEFT_OUT = re.compile(
    r"(^|[/_])(bias|gamma|beta|alpha)$|(cls|class)_?token|pos(ition(al)?)?_?embed", re.IGNORECASE
)


def variables_without_decay(variables: Iterable[Any]) -> list[Any]:
    """Returns the variables that common recipes exclude from weight decay.

    These are all vectors and scalars, and the following by name: biases, which are matrices in
    attention layers and hold the position embeddings in the patch layer of a vision transformer;
    the scales and offsets of normalization layers; the slopes of PReLU; class tokens; and position
    embeddings. Kernels decay, and so do embeddings of words or categories.

    Sources: J. Devlin et al., "BERT", arXiv:1810.04805 (its code: no decay of biases and layer
    norms); H. Touvron et al., "DeiT", arXiv:2012.12877 (its code and timm's: no decay of vectors,
    class tokens and position embeddings either); for PReLU, K. He et al., "Delving Deep into
    Rectifiers", arXiv:1502.01852, section 2.1.

    Args:
        variables: Keras variables, with paths.
    """
    return [v for v in variables if len(v.shape) < 2 or _LEFT_OUT.search(v.path)]
