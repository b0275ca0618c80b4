"""Training: epochs, batches, early stopping. It knows networks and nothing of estimators.

batches     sources of samples: arrays in whatever memory they are, handed out as batches
state       what goes on from epoch to epoch and from call to call: counters, curves, the solver's slots
options     numbers that steer the loop
epoch       what is known at the end of an epoch
averaging   the mean of the weights over epochs, for predictions
batch_pass  forward, loss and backward for batches of one size
trainer     the loop
lbfgs       in its place: SciPy's L-BFGS, for small data
"""

from pyconvx.training.batches import ArraySource, TrainingData
from pyconvx.training.epoch import Epoch
from pyconvx.training.lbfgs import LBFGS, FullBatchTrainer
from pyconvx.training.options import TrainingOptions
from pyconvx.training.state import BestWeights, TrainingState, Weights
from pyconvx.training.trainer import Trainer

__all__ = [
    "LBFGS",
    "ArraySource",
    "BestWeights",
    "Epoch",
    "FullBatchTrainer",
    "Trainer",
    "TrainingData",
    "TrainingOptions",
    "TrainingState",
    "Weights",
]
