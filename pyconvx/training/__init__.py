"""Training: epochs, batches, early stopping. It knows networks and nothing of estimators.

batches   sources of samples: arrays in whatever memory they are, handed out as batches
state     what goes on from epoch to epoch and from call to call: counters, curves, the solver's slots
trainer   the loop
"""

from pyconvx.training.batches import ArraySource
from pyconvx.training.state import BestWeights, TrainingState
from pyconvx.training.trainer import Trainer, TrainingOptions

__all__ = ["ArraySource", "BestWeights", "Trainer", "TrainingOptions", "TrainingState"]
