"""Small networks and data that several test files share."""

import numpy as np

from pyconvx.layers import (
    Activation,
    AvgPool2D,
    BatchNorm,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    MaxPool2D,
    Randomness,
    Residual,
    SeparableConv2D,
)
from pyconvx.losses import CrossEntropy
from pyconvx.network import Memory, Network
from pyconvx.schedules import Constant
from pyconvx.solvers import Adam
from pyconvx.training import ArraySource, Trainer, TrainingData, TrainingOptions, TrainingState

RELU = Activation("relu")
PLAIN = (Conv2D(4), RELU, MaxPool2D(2), Flatten(), Dense(6), Activation("tanh"), Dense(3))
# One of everything, on (8, 7, 2).
MIXED = (
    Conv2D(6, padding="same", bias=False),
    BatchNorm(),
    RELU,
    DepthwiseConv2D(3, stride=2, padding=1),
    Activation("gelu"),
    Residual((Conv2D(6, padding="same", groups=2), Activation("silu")), (SeparableConv2D(6, padding="same"),)),
    AvgPool2D(2, stride=1),
    Dropout(0.2),
    GlobalAvgPool2D(),
    Dense(5),
    Activation("softplus"),
    Dense(3),
)


def pictures(n, shape=(8, 7, 2), n_classes=3, seed=0, dtype=np.float64):
    """Noise and labels that follow from it."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, *shape)).astype(dtype)
    y = np.arange(n) % n_classes
    for label in range(n_classes):
        X[y == label, label % shape[0], :, :] += 2
    return X, y


def net(layers=PLAIN, **options):
    """A network for such pictures, in double precision."""
    return Network(layers, (8, 7, 2), dtype=np.float64, **options)


def outputs(network, x, *, n_threads=1, training=False, **options):
    """What a network makes of a batch."""
    memory = Memory()
    context = network.context(training, memory.kept, n_threads, **options)
    tape = [] if training else None
    return network.forward(x, context, memory, tape).copy()


def passes(network, x, dy, *, n_threads=1):
    """Outputs and the flat gradient of sum(y * dy), in training."""
    memory = Memory()
    context = network.context(True, memory.kept, n_threads, randomness=Randomness(3, 1))
    tape = []
    y = network.forward(x, context, memory, tape).copy()
    flat, named = network.gradients()
    network.backward(dy.copy(), tape, named, context, memory)
    return y, flat


def trainer(network, X, y, *, seed=0, solver=None, schedule=None, weights=None, loss=None, **options):
    """A training loop for all rows of X, with Adam."""
    solver = solver or Adam()
    slots = np.zeros((solver.slots, network.n_trainable), network.dtype)
    index = np.arange(len(X), dtype=np.int64)
    weights = np.ones(len(X)) if weights is None else weights
    data = TrainingData(ArraySource(X, network.input_shape), index, np.asarray(y, np.int64), weights)
    return Trainer(
        network, loss or CrossEntropy(), solver, schedule or Constant(), TrainingState(seed, slots),
        TrainingOptions(**options), data,
    )  # fmt: skip
