"""How parameters follow their gradients.

    base      the contract, the registry
    sgd       gradient descent with momentum, Nesterov's too
    adam      Adam; AdamW, which decays weights apart from the gradient
    rmsprop   gradients divided by their running size

Values with parameters only: the arrays belong to the network. sgd and adam take the same steps as
scikit-learn's MLPClassifier.
"""

from .adam import Adam, AdamW
from .base import Solver, registry
from .rmsprop import RMSprop
from .sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "RMSprop", "Solver", "registry"]
