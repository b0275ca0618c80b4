"""Activations and initializers for pyconvx, found by it through this package's entry points.

    activations    squared_relu, bent_identity, snake
    initializers   truncated_he_normal, sparse_he_normal

Nothing needs to be imported: once the package is installed, `CNNClassifier(activation="snake")` works.
"""

from .activations import BentIdentity, Snake, SquaredReLU
from .initializers import SparseHeNormal, TruncatedHeNormal

__all__ = ["BentIdentity", "Snake", "SparseHeNormal", "SquaredReLU", "TruncatedHeNormal"]
