"""Activations and initializers for pyconvx, which finds them through the entry points of this package.

    activations    squared_relu, bent_identity, snake
    initializers   truncated_he_normal, sparse_he_normal

You need not import it: once the package is installed, `CNNClassifier(activation="snake")` works.
"""

from .activations import BentIdentity, Snake, SquaredReLU
from .initializers import SparseHeNormal, TruncatedHeNormal

__all__ = ["BentIdentity", "Snake", "SparseHeNormal", "SquaredReLU", "TruncatedHeNormal"]
