"""Batch normalisation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from pyconvx._core.arrays import same_shape
from pyconvx._core.types import FloatArray, Shape
from pyconvx.initializers import Constant, zeros
from pyconvx.layers.base import Affine, Arrays, Layer, ParameterSpec, cached
from pyconvx.layers.context import Context
from pyconvx.layers.epilogue import NOTHING, Epilogue
from pyconvx.ops.batch_norm_plan import BatchNormPlan


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
    ``running_variance``, all (C,). The batch's variance is the biased one, summed in double precision. One
    row and one pixel normalise to beta, so batches of one row are not trained on then (`fewest_rows`). Ioffe and
    Szegedy, ICML 2015.
    """

    eps: float = 1e-5
    momentum: float = 0.9

    def __post_init__(self) -> None:
        """Refuse numbers that would divide by zero, or statistics that never change."""
        super().__post_init__()
        if not self.eps > 0:
            raise ValueError(f"BatchNorm: eps must be > 0, got {self.eps!r}")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"BatchNorm: momentum must be in [0, 1), got {self.momentum!r}")

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the input."""
        return input_shape

    def parameters(self, input_shape: Shape) -> dict[str, ParameterSpec]:
        """Return scale, shift and running statistics of each channel."""
        shape = (input_shape[-1],)
        return {
            "gamma": ParameterSpec(shape, Constant(1.0), kind="norm"),
            "beta": ParameterSpec(shape, zeros, kind="norm"),
            "running_mean": ParameterSpec(shape, zeros, kind="state"),
            "running_variance": ParameterSpec(shape, Constant(1.0), kind="state"),
        }

    def fewest_rows(self, input_shape: Shape) -> int:
        """Return 2 for single numbers, of which one row alone is its own mean; maps have many positions."""
        return 2 if math.prod(input_shape[:-1]) == 1 else 1

    def takes(self, epilogue: Epilogue) -> bool:
        """Accept an activation: it runs on numbers that are still in cache."""
        return epilogue.pool is None

    def affine(self, params: Arrays) -> Affine:
        """Return what the layer does with the running statistics."""
        wide = {name: np.asarray(value, np.float64) for name, value in params.items()}
        scale = wide["gamma"] / np.sqrt(wide["running_variance"] + self.eps)
        return Affine(scale, wide["running_mean"], wide["beta"])

    def forward(
        self, x: FloatArray, params: Arrays, context: Context, epilogue: Epilogue = NOTHING
    ) -> tuple[FloatArray, Any]:
        """Normalise with the batch's statistics in training, with the running ones otherwise."""
        C = x.shape[-1]
        for name in ("gamma", "beta", "running_mean", "running_variance"):
            same_shape("BatchNorm", name, params[name], (C,))
        y = context.take(x.shape, x.dtype)
        activated = context.take(x.shape, x.dtype) if epilogue.keeps_input(context.training) else y
        moments = context.take((2, C), np.float64)
        centre, scale = context.take((C,), x.dtype), context.take((C,), x.dtype)
        plan = _plan(self, x.shape, x.dtype, context.n_threads)
        rows = _rows(x)
        if context.training:
            context.run(plan.moments, rows, moments, context.scratch(plan.scratch, np.float64))
            context.run(self._update, params, moments, context)
            context.run(self._combine, params, moments, centre, scale)
        else:
            context.derive(np.copyto, moments[0], params["running_mean"])
            context.derive(np.copyto, moments[1], params["running_variance"])
            context.derive(self._combine, params, moments, centre, scale)
        context.run(plan.apply, rows, centre, scale, params["beta"], _rows(y), _rows(activated), epilogue.capsule)
        return activated, ((x, moments), y)

    def _update(self, params: Arrays, moments: FloatArray, context: Context) -> None:
        """Move the running statistics towards the batch's."""
        momentum = self.momentum
        for name, value in zip(("running_mean", "running_variance"), moments, strict=True):
            context.update_state(name, momentum * params[name] + (1 - momentum) * value)

    def _combine(self, params: Arrays, moments: FloatArray, centre: FloatArray, scale: FloatArray) -> None:
        """Turn variances into 1 / sqrt(variance + eps), and write centre and scale in the dtype of the batch."""
        mean, inverse = moments
        np.add(inverse, self.eps, out=inverse)
        np.divide(1.0, np.sqrt(inverse, out=inverse), out=inverse)
        centre[:] = mean
        scale[:] = params["gamma"] * inverse

    def backward(
        self, dy: FloatArray, cache: Any, params: Arrays, grads: Arrays, context: Context
    ) -> FloatArray | None:
        """Compute the gradients of gamma, beta and the input, through the batch's statistics too."""
        (x, moments), _ = cache
        dx = context.take(x.shape, x.dtype)
        unused = context.take(x.shape[-1:], x.dtype)
        plan = _plan(self, x.shape, x.dtype, context.n_threads)
        context.run(
            plan.backward, _rows(x), _rows(dy), moments, params["gamma"], _rows(dx), grads.get("gamma", unused),
            grads.get("beta", unused), context.scratch(plan.scratch, np.float64),
        )  # fmt: skip
        return dx if context.needs_dx else None


@cached
def _plan(layer: BatchNorm, shape: Shape, dtype: Any, n_threads: int) -> BatchNormPlan:
    """Return the plan for batches of this shape."""
    return BatchNormPlan(shape[0], math.prod(shape[1:-1]), shape[-1], dtype, n_threads)


def _rows(x: FloatArray) -> FloatArray:
    """Return a batch as (N, positions, C)."""
    return x.reshape(len(x), math.prod(x.shape[1:-1]), x.shape[-1])
