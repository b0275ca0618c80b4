"""What an estimator predicts: one object per kind of y, which encodes, weights, holds out and decodes it.

base      the contract
classes   labels of classes that exclude one another
labels    labels of which a sample may have several, and the choice between both
values    real numbers, one or several per sample
weights   checks of sample weights
"""

from pyconvx.estimators.targets.base import Targets
from pyconvx.estimators.targets.classes import ClassTargets, plain_labels
from pyconvx.estimators.targets.labels import AnyLabels, IndicatorTargets
from pyconvx.estimators.targets.values import RealTargets
from pyconvx.estimators.targets.weights import check_weights

__all__ = [
    "AnyLabels",
    "ClassTargets",
    "IndicatorTargets",
    "RealTargets",
    "Targets",
    "check_weights",
    "plain_labels",
]
