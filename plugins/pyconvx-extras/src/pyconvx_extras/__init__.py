"""Activations, initializers and an architecture for pyconvx.

It finds them through the entry points of this package:

    activations    squared_relu, bent_identity, snake
    initializers   truncated_he_normal, sparse_he_normal
    architectures  plain

You need not import it: once the package is installed, `CNNClassifier(activation="snake")` works.
"""

from .activations import BentIdentity, Snake, SquaredReLU
from .architectures import Plain
from .initializers import SparseHeNormal, TruncatedHeNormal

__all__ = ["BentIdentity", "Plain", "Snake", "SparseHeNormal", "SquaredReLU", "TruncatedHeNormal"]
