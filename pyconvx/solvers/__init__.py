"""Solvers: how gradients change the parameters.

    base      the contract, the registry
    guarded   the adapter around solvers of other packages
    sgd       gradient descent with momentum, Nesterov's too
    adam      Adam; AdamW, with weight decay that is not part of the gradient
    rmsprop   gradients divided by a running mean of their size

A solver holds its parameters only; the arrays belong to the network. sgd and adam take the same steps as
scikit-learn's MLPClassifier.
"""

from pyconvx.solvers.adam import Adam, AdamW
from pyconvx.solvers.base import Solver, registry
from pyconvx.solvers.rmsprop import RMSprop
from pyconvx.solvers.sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "RMSprop", "Solver", "registry"]
