"""Channels weighted by what the whole map holds."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

from pyconvx._core.numbers import as_int
from pyconvx._core.types import FloatArray, Shape
from pyconvx.layers.activation import Activation
from pyconvx.layers.base import Arrays, Layer, ParameterSpec
from pyconvx.layers.context import Context
from pyconvx.layers.dense import Dense
from pyconvx.layers.global_avg_pool1d import GlobalAvgPool1D
from pyconvx.layers.global_avg_pool2d import GlobalAvgPool2D
from pyconvx.layers.global_pool import GlobalAvgPool
from pyconvx.layers.sequence import sequence_backward, sequence_forward, sequence_parameters
from pyconvx.layers.space import as_image_shape
from pyconvx.ops import channels
from pyconvx.ops.geometry import Window
from pyconvx.ops.pool_window import whole_window


@dataclass(frozen=True)
class SqueezeExcite(Layer):
    """Multiplies each channel by a number from 0 to 1, which follows from the means of all channels.

    Parameters
    ----------
    ratio : int, default=16
        The hidden layer has ``max(1, C // ratio)`` units.
    initializer : str or object, optional
        Of both dense layers; by default He's for the hidden one and Xavier's for the one that makes the factors.

    Notes
    -----
    Images or signals; the shape stays. Global average pool - dense - ReLU - dense - sigmoid, then the product.
    Parameters ``dense_1.weights`` (C, C // ratio), ``dense_2.weights`` (C // ratio, C), and biases. Hu et al.,
    CVPR 2018.
    """

    ratio: int = 16
    _: KW_ONLY
    initializer: object = None

    def __post_init__(self) -> None:
        """Refuse a ratio below 1."""
        super().__post_init__()
        as_int("SqueezeExcite: ratio", self.ratio, 1)

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the input."""
        self._pool(input_shape)
        return input_shape

    def _pool(self, input_shape: Shape) -> GlobalAvgPool:
        """Return the layer that squeezes a map; an error shows a shape that is none."""
        if len(input_shape) not in (2, 3):
            raise ValueError(
                f"SqueezeExcite expected images (H, W, C) or signals (L, C), got samples of shape {input_shape}"
            )
        return GlobalAvgPool1D() if len(input_shape) == 2 else GlobalAvgPool2D()

    def _gate(self, C: int) -> tuple[Layer, ...]:
        """Return the layers that turn means into factors."""
        hidden = Dense(max(1, C // self.ratio), initializer=self.initializer or "he_uniform")
        last = Dense(C, initializer=self.initializer or "xavier_uniform")
        return (hidden, Activation("relu"), last, Activation("sigmoid"))

    def parameters(self, input_shape: Shape) -> dict[str, ParameterSpec]:
        """Return the parameters of both dense layers."""
        self._pool(input_shape)
        return sequence_parameters(self._gate(input_shape[-1]), input_shape[-1:])

    def multiplications(self, input_shape: Shape) -> int:
        """Count those of the dense layers, and one for each cell."""
        C = input_shape[-1]
        return 2 * C * max(1, C // self.ratio) + math.prod(input_shape)

    def window(self, input_shape: Shape) -> Window:
        """Return a window that reaches over the whole map from each of its cells."""
        self._pool(input_shape)
        return whole_window((1, *as_image_shape(input_shape)))

    def forward(self, x: FloatArray, params: Arrays, context: Context) -> tuple[FloatArray, Any]:
        """Compute the factors and multiply; the cache holds x, the factors, and how they were made."""
        means, _ = self._pool(x.shape[1:]).forward(x, {}, context)
        factors, tape = sequence_forward(self._gate(x.shape[-1]), means, params, context)
        y = context.take(x.shape, x.dtype)
        context.run(channels.scale, _maps(x), factors, None, _maps(y), context.n_threads)
        return y, (x, factors, tape)

    def backward(
        self, dy: FloatArray, cache: Any, params: Arrays, grads: Arrays, context: Context
    ) -> FloatArray | None:
        """Compute the gradients of the dense layers and of x, which is also in its own factors."""
        x, factors, tape = cache
        slopes = context.take(factors.shape, x.dtype)
        sums = context.scratch(slopes.size, np.float64)
        context.run(channels.products, _maps(x), _maps(dy), sums, slopes, context.n_threads)
        shifts = sequence_backward(slopes, tape, params, grads, context, overwrite=True)
        if not context.needs_dx:
            return None
        assert shifts is not None
        context.run(np.multiply, shifts, 1 / math.prod(x.shape[1:-1]), shifts)
        dx = context.take(x.shape, x.dtype)
        context.run(channels.scale, _maps(dy), factors, shifts, _maps(dx), context.n_threads)
        return dx


def _maps(x: FloatArray) -> FloatArray:
    """Return a batch as (N, positions, C)."""
    return x.reshape(len(x), math.prod(x.shape[1:-1]), x.shape[-1])
