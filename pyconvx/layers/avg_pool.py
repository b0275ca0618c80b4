"""Average pooling over any number of axes; the arithmetic is `pyconvx.ops.pooling`."""

from dataclasses import KW_ONLY, dataclass
from typing import Any

from pyconvx._core.arrays import same_shape
from pyconvx._core.types import FloatArray
from pyconvx._ext import pool
from pyconvx.layers.base import Arrays
from pyconvx.layers.context import Context
from pyconvx.layers.pool import Pool
from pyconvx.layers.space import as_images
from pyconvx.ops._pool_arguments import pool_threads
from pyconvx.ops.geometry import Window


@dataclass(frozen=True)
class AvgPool(Pool):
    """What average pooling layers share."""

    _: KW_ONLY
    ceil_mode: bool = False
    count_include_pad: bool = False

    def _sizes(self, window: Window) -> tuple[int | bool, ...]:
        """What the kernels take."""
        sides = (window.top, window.left, window.bottom, window.right)
        return (window.KH, window.KW, window.stride_h, window.stride_w, *sides, self.count_include_pad)

    def forward(self, x: FloatArray, params: Arrays, context: Context) -> tuple[FloatArray, Any]:
        """Compute the means."""
        y = context.take((len(x), *self.output_shape(x.shape[1:])), x.dtype)
        sizes = self._sizes(self.window(x.shape[1:]))
        context.run(pool.avg_pool, as_images(x), as_images(y), *sizes, pool_threads(context.n_threads, x))
        return y, x.shape

    def backward(
        self, dy: FloatArray, cache: Any, params: Arrays, grads: Arrays, context: Context
    ) -> FloatArray | None:
        """Share each gradient out over its window."""
        if not context.needs_dx:
            return None
        same_shape(type(self).__name__, "dy", dy, (cache[0], *self.output_shape(cache[1:])))
        dx = context.take(cache, dy.dtype)
        sizes, threads = self._sizes(self.window(cache[1:])), pool_threads(context.n_threads, dx)
        context.run(pool.avg_pool_backward, as_images(dy), as_images(dx), *sizes, threads)
        return dx
