"""What training minimises.

    base            the contract, the registry
    guarded         the adapter around losses of other packages
    cross_entropy   softmax cross-entropy with label smoothing and row weights

Losses take a network's outputs before any output activation, which is part of the loss: so they stay finite,
and a loss also knows how outputs become predictions.
"""

from pyconvx.losses.base import Loss, registry
from pyconvx.losses.cross_entropy import CrossEntropy

__all__ = ["CrossEntropy", "Loss", "registry"]
