"""Pooling over whole maps, of any number of axes; the arithmetic is `pyconvx.ops.pooling`."""

from typing import Any, ClassVar

from pyconvx._core.types import FloatArray, Shape
from pyconvx._ext import pool
from pyconvx.layers.base import Arrays, Layer
from pyconvx.layers.context import Context
from pyconvx.layers.space import as_image_shape, as_images, expect_maps
from pyconvx.ops._pool_arguments import pool_threads, pool_window, winner_dtype
from pyconvx.ops.geometry import Window


class GlobalPool(Layer):
    """What global pooling layers share: one number for each channel."""

    axes: ClassVar[int]

    def window(self, input_shape: Shape) -> Window:
        """Return a window as large as the map."""
        H, W, _ = as_image_shape(expect_maps(self, input_shape, self.axes))
        return pool_window(str(self), (1, H, W, 1), (H, W), 1, 0, 1, False)

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return (C,)."""
        return expect_maps(self, input_shape, self.axes)[-1:]


class GlobalAvgPool(GlobalPool):
    """What global average pooling layers share."""

    def forward(self, x: FloatArray, params: Arrays, context: Context) -> tuple[FloatArray, Any]:
        """Compute the means."""
        y = context.take((len(x), x.shape[-1]), x.dtype)
        context.run(pool.global_avg_pool, as_images(x), y, pool_threads(context.n_threads, x))
        return y, x.shape

    def backward(
        self, dy: FloatArray, cache: Any, params: Arrays, grads: Arrays, context: Context
    ) -> FloatArray | None:
        """Share each gradient out over its map."""
        if not context.needs_dx:
            return None
        dx = context.take(cache, dy.dtype)
        context.run(pool.global_avg_pool_backward, dy, as_images(dx), pool_threads(context.n_threads, dx))
        return dx


class GlobalMaxPool(GlobalPool):
    """What global max pooling layers share: a max pool with one window."""

    def forward(self, x: FloatArray, params: Arrays, context: Context) -> tuple[FloatArray, Any]:
        """Find the maxima, and for backward the cell of each."""
        window = self.window(x.shape[1:])
        y = context.take((len(x), x.shape[-1]), x.dtype)
        winner = context.take(y.shape, winner_dtype(str(self), window))
        images = as_images(x), _one_cell(y), _one_cell(winner)
        context.run(pool.max_pool, *images, *window.sizes, pool_threads(context.n_threads, x))
        return y, (x.shape, winner)

    def backward(
        self, dy: FloatArray, cache: Any, params: Arrays, grads: Arrays, context: Context
    ) -> FloatArray | None:
        """Give each gradient to its winner."""
        if not context.needs_dx:
            return None
        shape, winner = cache
        dx = context.take(shape, dy.dtype)
        images = _one_cell(dy), _one_cell(winner), as_images(dx)
        sizes, threads = self.window(shape[1:]).sizes, pool_threads(context.n_threads, dx)
        context.run(pool.max_pool_backward, *images, *sizes, threads)
        return dx


def _one_cell(y: Any) -> Any:
    """Rows of channels as maps of one cell."""
    return y.reshape(len(y), 1, 1, y.shape[-1])
