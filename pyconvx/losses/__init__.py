"""What training minimises.

    base            the contract, the registry
    guarded         the adapter around losses of other packages
    cross_entropy   softmax cross-entropy with label smoothing and row weights

Losses start from logits: the output activation is part of them, which keeps them finite.
"""

from pyconvx.losses.base import Loss, registry
from pyconvx.losses.cross_entropy import CrossEntropy

__all__ = ["CrossEntropy", "Loss", "registry"]
