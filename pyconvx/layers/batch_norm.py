"""Batch normalisation."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pyconvx._core.arrays import same_shape
from pyconvx._core.types import FloatArray, Shape
from pyconvx._ext import pointwise
from pyconvx.initializers import Constant, zeros
from pyconvx.layers.base import Arrays, Context, Layer, ParameterSpec


@dataclass(frozen=True)
class BatchNorm(Layer):
    """Gives each channel mean beta and standard deviation gamma, both learnt.

    Parameters
    ----------
    eps : float, default=1e-5
        Added to the variance.
    momentum : float, default=0.9
        Share that running statistics keep at each training step; they stand in for the batch's when
        predicting.

    Notes
    -----
    Input (H, W, C) or (features,). Parameters ``gamma`` and ``beta``, state ``running_mean`` and
    ``running_variance``, all (C,). The batch's variance is the biased one, summed in double precision; a
    batch of one row and one pixel normalises to beta. Ioffe and Szegedy, ICML 2015.
    """

    eps: float = 1e-5
    momentum: float = 0.9

    takes_activation: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse what would divide by zero or forget nothing."""
        super().__post_init__()
        if not self.eps > 0:
            raise ValueError(f"BatchNorm: eps must be > 0, got {self.eps!r}")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"BatchNorm: momentum must be in [0, 1), got {self.momentum!r}")

    def output_shape(self, input_shape: Shape) -> Shape:
        """The input's."""
        return input_shape

    def parameters(self, input_shape: Shape) -> dict[str, ParameterSpec]:
        """Scale, shift and running statistics of each channel."""
        shape = (input_shape[-1],)
        return {
            "gamma": ParameterSpec(shape, Constant(1.0), kind="norm"),
            "beta": ParameterSpec(shape, zeros, kind="norm"),
            "running_mean": ParameterSpec(shape, zeros, kind="state"),
            "running_variance": ParameterSpec(shape, Constant(1.0), kind="state"),
        }

    def forward(
        self, x: FloatArray, params: Arrays, context: Context, activation: Any = None, keep: bool = False
    ) -> tuple[FloatArray, Any]:
        """Normalise with the batch's statistics in training, with the running ones otherwise.

        `activation` and `keep` as for Conv2D: the function runs on numbers that are still in cache.
        """
        C = x.shape[-1]
        for name in ("gamma", "beta", "running_mean", "running_variance"):
            same_shape("BatchNorm", name, params[name], (C,))
        if context.training:
            mean, variance = self._moments(x, context)
            share = self.momentum
            for name, value in (("running_mean", mean), ("running_variance", variance)):
                context.update_state(name, share * params[name] + (1 - share) * value)
        else:
            mean = params["running_mean"].astype(np.float64)
            variance = params["running_variance"].astype(np.float64)
        inverse = 1.0 / np.sqrt(variance + self.eps)
        scale = params["gamma"] * inverse
        y = context.workspace.take(x.shape, x.dtype)
        after = context.workspace.take(x.shape, x.dtype) if keep else y
        pointwise.centre_scale_shift(
            x.reshape(-1, C), mean.astype(x.dtype), scale.astype(x.dtype), params["beta"], y.reshape(-1, C),
            after.reshape(-1, C), activation, context.n_threads,
        )  # fmt: skip
        return after, ((x, mean, inverse), y)

    def _moments(self, x: FloatArray, context: Context) -> tuple[FloatArray, FloatArray]:
        """Mean and variance of each channel, in double precision."""
        C = x.shape[-1]
        mean, variance = np.empty(C), np.empty(C)
        mark = context.workspace.mark()
        scratch = context.workspace.take((pointwise.norm_scratch(len(x), C),), np.float64)
        pointwise.batch_moments(x.reshape(len(x), -1, C), mean, variance, scratch, context.n_threads)
        context.workspace.release(mark)
        return mean, variance

    def backward(
        self, dy: FloatArray, cache: Any, params: Arrays, grads: Arrays, context: Context
    ) -> FloatArray | None:
        """Gradients of gamma, beta and the input, through the batch's statistics too."""
        (x, mean, inverse), _ = cache
        C = x.shape[-1]
        shape = (len(x), x.size // (len(x) * C), C)
        dx = context.workspace.take(x.shape, x.dtype)
        scratch = context.workspace.take((pointwise.norm_scratch(len(x), C),), np.float64)
        spare = context.workspace.take((C,), x.dtype)
        pointwise.batch_norm_backward(
            x.reshape(shape), dy.reshape(shape), mean, inverse, params["gamma"], dx.reshape(shape),
            grads.get("gamma", spare), grads.get("beta", spare), scratch, context.n_threads,
        )  # fmt: skip
        return dx if context.needs_dx else None
