"""Global average pooling as a layer; the arithmetic is `pyconvx._ext.pool`."""

from dataclasses import dataclass
from typing import Any

from pyconvx._core.types import FloatArray, Shape
from pyconvx._ext import pool
from pyconvx.layers.base import Arrays, Context, Layer, expect_images
from pyconvx.ops._pool_arguments import pool_threads, pool_window
from pyconvx.ops.geometry import Window


@dataclass(frozen=True)
class GlobalAvgPool2D(Layer):
    """The mean of each channel over the whole map: (H, W, C) becomes (C,)."""

    def view(self, input_shape: Shape) -> Window:
        """A window as large as the map."""
        H, W, _ = expect_images(self, input_shape)
        return pool_window(str(self), (1, H, W, 1), (H, W), 1, 0, 1, False)

    def output_shape(self, input_shape: Shape) -> Shape:
        """(C,)."""
        return (expect_images(self, input_shape)[2],)

    def forward(self, x: FloatArray, params: Arrays, context: Context) -> tuple[FloatArray, Any]:
        """Means."""
        y = context.workspace.take((len(x), x.shape[3]), x.dtype)
        pool.global_avg_pool(x, y, pool_threads(context.n_threads, x))
        return y, x.shape

    def backward(
        self, dy: FloatArray, cache: Any, params: Arrays, grads: Arrays, context: Context
    ) -> FloatArray | None:
        """Each gradient shared out over its map."""
        if not context.needs_dx:
            return None
        dx = context.workspace.take(cache, dy.dtype)
        pool.global_avg_pool_backward(dy, dx, pool_threads(context.n_threads, dx))
        return dx
