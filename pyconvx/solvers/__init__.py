"""How parameters follow their gradients.

    base      the contract, the registry
    guarded   the adapter around solvers of other packages
    sgd       gradient descent with momentum, Nesterov's too
    adam      Adam; AdamW, which decays weights apart from the gradient
    rmsprop   gradients divided by their running size

Values with parameters only: the arrays belong to the network. sgd and adam take the same steps as
scikit-learn's MLPClassifier.
"""

from pyconvx.solvers.adam import Adam, AdamW
from pyconvx.solvers.base import Solver, registry
from pyconvx.solvers.rmsprop import RMSprop
from pyconvx.solvers.sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "RMSprop", "Solver", "registry"]
