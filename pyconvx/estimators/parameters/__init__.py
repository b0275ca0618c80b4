"""The parameters that every estimator around a network has: default, rule and description, declared once.

layout     how X is laid out
network    which layers there are
training   how they are trained, and what is kept meanwhile
"""

from pyconvx.estimators.parameters.layout import SampleLayout
from pyconvx.estimators.parameters.network import NetworkParameters
from pyconvx.estimators.parameters.training import TrainingParameters

__all__ = ["NetworkParameters", "SampleLayout", "TrainingParameters"]
