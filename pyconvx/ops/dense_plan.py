"""A dense layer planned for batches of one size: its scratch memory, and the runs."""

from collections.abc import Callable
from functools import cached_property

import numpy as np
import numpy.typing as npt

from pyconvx._core.threads import threads_for
from pyconvx._ext import conv_gradient, dense

Run = Callable[..., None]  # a kernel that takes arrays


class DensePlan:
    """The product of a batch with a matrix of weights, and its gradients.

    No result depends on the number of threads, and no row of one on the other rows of its batch.

    Parameters
    ----------
    n_samples, inputs, outputs : int
        Batches are (n_samples, inputs), weights (inputs, outputs).
    dtype : dtype
        float32 or float64.
    n_threads : int
        As `resolve_threads` returns it; work that is too small to share takes one thread.

    Attributes
    ----------
    forward_scratch, backward_scratch : int
        Numbers of `dtype` that `forward`, and each of the backward methods, need as scratch.

    Notes
    -----
    As for `ConvPlan`: a run raises ValueError for an array of another shape or type.
    """

    def __init__(self, n_samples: int, inputs: int, outputs: int, dtype: npt.DTypeLike, n_threads: int) -> None:
        itemsize = np.dtype(dtype).itemsize
        self._sizes = (
            n_samples, inputs, outputs, itemsize, threads_for(n_samples * inputs * outputs, n_threads)
        )  # fmt: skip
        self._bias = ((n_samples, outputs), itemsize, threads_for(n_samples * outputs, n_threads))
        self._forward = dense.DenseForward(*self._sizes)
        self.forward_scratch = self._forward.scratch

    @property
    def forward(self) -> Run:
        """Run ``forward(x, weights, bias, y, activated, activation, scratch)``.

        Write x @ weights + bias to `y` and f of it to `activated`, which may be `y`; `activation` is the capsule
        of f, or None, as `bias` may be.
        """
        return self._forward.run

    @property
    def backward_input(self) -> Run:
        """Run ``backward_input(dy, weights, dx, scratch)``: write dy @ weights.T to `dx`."""
        return self._input.run

    @property
    def backward_weights(self) -> Run:
        """Run ``backward_weights(x, dy, dweights, scratch)``: add x.T @ dy to `dweights`."""
        return self._weights.run

    @property
    def backward_bias(self) -> Run:
        """Run ``backward_bias(dy, dbias, scratch)``: add the sum of `dy` over the samples to `dbias`."""
        return self._bias_gradient.run

    @cached_property
    def backward_scratch(self) -> int:
        return max(self._input.scratch, self._weights.scratch, self._bias_gradient.scratch)

    @cached_property
    def _input(self) -> dense.DenseInput:
        return dense.DenseInput(*self._sizes)

    @cached_property
    def _weights(self) -> dense.DenseWeights:
        return dense.DenseWeights(*self._sizes)

    @cached_property
    def _bias_gradient(self) -> conv_gradient.BiasGradient:
        return conv_gradient.BiasGradient(*self._bias)
