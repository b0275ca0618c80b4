"""Pooling over whole maps, of any number of axes; the arithmetic is `pyconvx.ops.pooling`."""

from __future__ import annotations

from typing import Any, ClassVar

from pyconvx._core.types import FloatArray, Shape
from pyconvx.layers.base import Arrays, Layer, cached
from pyconvx.layers.context import Context
from pyconvx.layers.space import as_image_shape, as_images, expect_maps
from pyconvx.ops.geometry import Window
from pyconvx.ops.pool_plan import AvgPoolPlan, MaxPoolPlan
from pyconvx.ops.pool_window import whole_window


class GlobalPool(Layer):
    """What global pooling layers share: one number for each channel."""

    axes: ClassVar[int]

    def window(self, input_shape: Shape) -> Window:
        """Return a window as large as the map."""
        return whole_window((1, *as_image_shape(expect_maps(self, input_shape, self.axes))))

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return (C,)."""
        return expect_maps(self, input_shape, self.axes)[-1:]


class GlobalAvgPool(GlobalPool):
    """What global average pooling layers share."""

    def forward(self, x: FloatArray, params: Arrays, context: Context) -> tuple[FloatArray, Any]:
        """Compute the means."""
        y = context.take((len(x), x.shape[-1]), x.dtype)
        plan = _plan(self, AvgPoolPlan, x.shape, x.dtype, context.n_threads)
        context.run(plan.forward, as_images(x), _one_cell(y))
        return y, x.shape

    def backward(
        self, dy: FloatArray, cache: Any, params: Arrays, grads: Arrays, context: Context
    ) -> FloatArray | None:
        """Spread each gradient over its map."""
        if not context.needs_dx:
            return None
        dx = context.take(cache, dy.dtype)
        plan = _plan(self, AvgPoolPlan, cache, dy.dtype, context.n_threads)
        context.run(plan.backward, _one_cell(dy), as_images(dx))
        return dx


class GlobalMaxPool(GlobalPool):
    """What global max pooling layers share: a max pool with one window."""

    def forward(self, x: FloatArray, params: Arrays, context: Context) -> tuple[FloatArray, Any]:
        """Find the maxima, and the cell of each for backward."""
        plan = _plan(self, MaxPoolPlan, x.shape, x.dtype, context.n_threads)
        y = context.take((len(x), x.shape[-1]), x.dtype)
        winner = context.take(y.shape, plan.winner_dtype)
        context.run(plan.forward, as_images(x), _one_cell(y), _one_cell(winner))
        return y, (x.shape, winner)

    def backward(
        self, dy: FloatArray, cache: Any, params: Arrays, grads: Arrays, context: Context
    ) -> FloatArray | None:
        """Pass each gradient to the cell of its maximum."""
        if not context.needs_dx:
            return None
        shape, winner = cache
        dx = context.take(shape, dy.dtype)
        plan = _plan(self, MaxPoolPlan, shape, dy.dtype, context.n_threads)
        context.run(plan.backward, _one_cell(dy), _one_cell(winner), as_images(dx))
        return dx


@cached
def _plan(layer: GlobalPool, kind: Any, shape: Shape, dtype: Any, n_threads: int) -> Any:
    """Return the plan, of this kind, for batches of this shape."""
    return kind((shape[0], *as_image_shape(shape[1:])), layer.window(shape[1:]), dtype, n_threads)


def _one_cell(y: Any) -> Any:
    """Return rows of channels as maps of one cell."""
    return y.reshape(len(y), 1, 1, y.shape[-1])
