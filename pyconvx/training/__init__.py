"""Training: epochs, batches, early stopping. It knows networks and nothing of estimators.

samples   images in whatever memory they are, handed out as batches
state     what goes on from epoch to epoch and from call to call: counters, curves, the solver's slots
trainer   the loop
"""

from pyconvx.training.samples import Samples
from pyconvx.training.state import Best, TrainingState
from pyconvx.training.trainer import Settings, Trainer

__all__ = ["Best", "Samples", "Settings", "Trainer", "TrainingState"]
