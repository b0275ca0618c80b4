"""Checks that a plugin keeps its contract, for authors of plugins and for pyconvx's own tests.

    activation, architecture, initializer, layer, loss, schedule, solver
                      one check each
    _common           what they share: names, calls, pickling
    _layer_subject    a layer with parameters, and how a network runs it
    __main__          the checks from a shell

Each takes a registered name or an object, returns nothing, and raises AssertionError with the plugin and the
reason. They need no test framework.
"""

from pyconvx.testing.activation import check_activation
from pyconvx.testing.architecture import check_architecture
from pyconvx.testing.initializer import check_initializer
from pyconvx.testing.layer import check_layer
from pyconvx.testing.loss import check_loss
from pyconvx.testing.schedule import check_schedule
from pyconvx.testing.solver import check_solver

__all__ = [
    "check_activation",
    "check_architecture",
    "check_initializer",
    "check_layer",
    "check_loss",
    "check_schedule",
    "check_solver",
]
