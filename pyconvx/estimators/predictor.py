"""A fitted estimator compiled for predicting again and again: no checks, no copies, no memory to allocate."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np

from pyconvx._core.arrays import as_stack
from pyconvx._core.types import FloatArray, Shape
from pyconvx.estimators.targets import Targets
from pyconvx.network import CompiledNetwork
from pyconvx.training import ArraySource


def batch_outputs(network: CompiledNetwork, samples: FloatArray) -> FloatArray:
    """Return the outputs of a network for one batch, in its precision and order of axes."""
    program, x, y = network.program(len(samples))
    np.copyto(x, samples.reshape(x.shape))
    program.run()
    return y.copy()


def network_outputs(network: CompiledNetwork, samples: ArraySource) -> FloatArray:
    """Return the outputs of a network for all samples, a batch at a time."""
    outputs = np.empty((len(samples), *network.output_shape), network.dtype)
    for start in range(0, len(samples), network.rows):
        rows = min(network.rows, len(samples) - start)
        program, x, y = network.program(rows)
        samples.take(np.arange(start, start + rows, dtype=np.int64), x, network.n_threads)
        program.run()
        outputs[start : start + rows] = y
    return outputs


class CompiledPredictor:
    """Probabilities of classes, or predicted numbers; what an estimator's `compile_predictor` returns.

    It keeps the parameters that the estimator had: fitting further does not change it. Calls from several
    threads take turns.

    Attributes
    ----------
    input_shape : (H, W, C) or (C, H, W); (length, channels) or (channels, length)
        Of one sample, in the estimator's order.
    classes_ : array
        Of a classifier: labels, in the order of the columns.
    """

    def __init__(
        self,
        network: CompiledNetwork,
        loss: Any,
        targets: Targets,
        input_shape: Shape,
        *,
        scale: float,
        uint8: bool | None,
        first: bool,
    ) -> None:
        vars(self).update(targets.fitted())
        self.input_shape = input_shape
        self._network, self._loss, self._targets = network, loss, targets
        self._scale, self._uint8, self._first = scale, uint8, first
        flat = (math.prod(input_shape),)
        space = input_shape[1:] if first else input_shape[:-1]
        self._shapes = {input_shape, flat} | ({space} if flat[0] == math.prod(space) else set())
        self._lock = threading.Lock()

    def __call__(self, X: Any) -> FloatArray:
        """Return probabilities, of shape (n, n_classes), or numbers in the form of y, in the network's precision.

        Parameters
        ----------
        X : array-like of shape (n, *input_shape), (n, features), or without the axis of a single channel
            uint8 if the estimator was fitted to uint8, otherwise numbers; with an `input_scale` of the user's
            any of them. Their values are not checked.

        Raises
        ------
        ValueError
            If X has another shape, or another kind of numbers.
        TypeError
            For masked arrays and numpy.matrix.
        """
        if type(X) is not np.ndarray or X.dtype.hasobject:  # values of arrays of numbers are not checked
            X = np.asarray(as_stack("X", X))
        if X.shape[1:] not in self._shapes:
            missing = ": the axis of samples is missing, pass X[np.newaxis]" if X.shape in self._shapes else ""
            sizes = ", ".join(map(str, self.input_shape))
            raise ValueError(f"expected an array of shape (n, {sizes}), got {X.shape}{missing}")
        if X.dtype.kind not in "uif" or self._uint8 not in (None, X.dtype == np.uint8):
            samples = "images" if len(self.input_shape) == 3 else "signals"
            kind = f"uint8 {samples}" if self._uint8 else "numbers other than uint8"
            raise ValueError(f"the estimator was fitted to {kind}, got {X.dtype}")
        network = self._network
        with self._lock:
            if X.dtype == network.dtype and self._scale == 1 and not self._first and 0 < len(X) <= network.rows:
                outputs = batch_outputs(network, X)  # a few microseconds less, which shows with single images
            else:
                source = ArraySource(X, network.input_shape, channels_first=self._first, scale=self._scale)
                outputs = network_outputs(network, source)
        return self._targets.present(np.asarray(self._loss.predictions(outputs)))

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()
