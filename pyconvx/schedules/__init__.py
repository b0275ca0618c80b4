"""Schedules: how the learning rate changes in the course of training.

    base       the contract, the registry
    progress   Progress: everything that a schedule knows
    guarded    the adapter around schedules of other packages
    constant   no change
    mlp        invscaling and adaptive, as in scikit-learn's MLP
    decay      step and exponential
    cosine     cosine with warm-up, one_cycle; both depend on max_epochs

Each returns a factor for learning_rate_init, which depends on `Progress` alone.
"""

from pyconvx.schedules.base import Schedule, registry, uses_max_epochs
from pyconvx.schedules.constant import Constant
from pyconvx.schedules.cosine import Cosine, OneCycle
from pyconvx.schedules.decay import Exponential, Step
from pyconvx.schedules.mlp import Adaptive, InvScaling
from pyconvx.schedules.progress import Progress

__all__ = [
    "Adaptive",
    "Constant",
    "Cosine",
    "Exponential",
    "InvScaling",
    "OneCycle",
    "Progress",
    "Schedule",
    "Step",
    "registry",
    "uses_max_epochs",
]
