"""What training minimises.

    base            the contract, the registry
    guarded         the adapter around losses of other packages
    cross_entropy   softmax cross-entropy with label smoothing and row weights
    binary_cross_entropy
                    for labels that do not exclude one another
    values          squared error and Huber's loss, for real numbers

Losses take a network's outputs before any output activation, which is part of the loss: so they stay finite,
and a loss also knows how outputs become predictions.
"""

from pyconvx.losses.base import Loss, registry
from pyconvx.losses.binary_cross_entropy import BinaryCrossEntropy
from pyconvx.losses.cross_entropy import CrossEntropy
from pyconvx.losses.values import Huber, SquaredError

__all__ = ["BinaryCrossEntropy", "CrossEntropy", "Huber", "Loss", "SquaredError", "registry"]
