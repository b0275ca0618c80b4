"""Forward, loss and backward for batches of one size: recorded once, then replayed on the same arrays."""

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from pyconvx._core.types import Array
from pyconvx.layers import Program, Randomness
from pyconvx.losses import Loss
from pyconvx.network import Memory, Network
from pyconvx.training.batches import TrainingData


class BatchPass:
    """What a training step computes before the solver moves the parameters.

    Which kernels run, on which arrays and with which scratch memory, is decided here, once for each size of a
    batch. A step then copies its rows into the arrays and repeats the calls.

    Parameters
    ----------
    network : Network
    loss : Loss
    data : TrainingData
    size : int
        Rows of a batch.
    gradients : mapping
        Arrays by layer and name, as `Network.gradients` makes them; a run adds to them.
    memory : Memory
        Passes of several sizes may share it, since a run keeps nothing for the next one.
    randomness : Randomness
        A run sets its samples; its owner sets the rest.
    n_threads : int
    """

    def __init__(
        self,
        network: Network,
        loss: Loss,
        data: TrainingData,
        size: int,
        gradients: Mapping[str, Mapping[str, Array]],
        memory: Memory,
        randomness: Randomness,
        n_threads: int,
    ) -> None:
        self._loss, self._data, self._randomness, self._n_threads = loss, data, randomness, n_threads
        memory.kept.reset()
        self._take_arrays(network, size, memory)
        self._record(network, gradients, memory)

    def _take_arrays(self, network: Network, size: int, memory: Memory) -> None:
        """Take the arrays that a batch is copied into."""
        take, data = memory.kept.take, self._data
        self._size, self._mean_weight = size, float(data.weights.mean())
        self._rows = take((size,), np.dtype(np.int64))
        self._x = take((size, *network.input_shape), network.dtype)
        self._targets = take((size, *data.targets.shape[1:]), data.targets.dtype)
        self._weights = take((size,), data.weights.dtype)
        self._shares = take((size,), network.dtype)

    def _record(self, network: Network, gradients: Mapping[str, Mapping[str, Array]], memory: Memory) -> None:
        """Record the calls before the loss and those after it."""
        self._forward, self._backward = Program(), Program()
        options = {"randomness": self._randomness}
        forward = network.context(True, memory.kept, self._n_threads, program=self._forward, **options)
        backward = network.context(True, memory.kept, self._n_threads, program=self._backward, **options)
        tape: list[object] = []
        self._outputs = network.forward(self._x, forward, memory, tape)
        self._slopes = memory.kept.take(self._outputs.shape, self._outputs.dtype)
        network.backward(self._slopes, tape, gradients, backward, memory)

    def run(self, positions: npt.NDArray[np.int64]) -> tuple[float, float]:
        """Compute the loss of a batch, and add its gradient; there is none if the loss is not finite.

        Parameters
        ----------
        positions : int64 array of shape (size,)
            Places of the batch's rows in the training data.

        Returns
        -------
        loss : float
            Sum of the rows' weighted losses, divided by `weight`.
        weight : float
            Rows of the batch times the mean weight of all rows.
        """
        data, threads = self._data, self._n_threads
        # mode "raise", NumPy's default, would copy
        data.rows.take(positions, out=self._rows, mode="clip")
        data.targets.take(positions, axis=0, out=self._targets, mode="clip")
        data.weights.take(positions, out=self._weights, mode="clip")
        data.source.take(self._rows, self._x, threads)
        weight = self._size * self._mean_weight
        np.divide(self._weights, weight, out=self._shares, casting="same_kind")
        self._randomness.samples = positions
        self._forward.run()
        value = self._loss.value_and_gradient(
            self._outputs, self._targets, self._shares, self._slopes, n_threads=threads
        )
        if math.isfinite(value):
            self._backward.run()
        return value, weight
