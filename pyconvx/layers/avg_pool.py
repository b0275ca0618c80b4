"""Average pooling over any number of axes; the arithmetic is `pyconvx.ops.pooling`."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

from pyconvx._core.arrays import same_shape
from pyconvx._core.types import FloatArray, Shape
from pyconvx.layers.base import Arrays, cached
from pyconvx.layers.context import Context
from pyconvx.layers.pool import Pool
from pyconvx.layers.space import as_image_shape, as_images
from pyconvx.ops.pool_plan import AvgPoolPlan


@dataclass(frozen=True)
class AvgPool(Pool):
    """What average pooling layers share."""

    _: KW_ONLY
    ceil_mode: bool = False
    count_include_pad: bool = False

    def forward(self, x: FloatArray, params: Arrays, context: Context) -> tuple[FloatArray, Any]:
        """Compute the means."""
        y = context.take((len(x), *self.output_shape(x.shape[1:])), x.dtype)
        plan = _plan(self, x.shape, x.dtype, context.n_threads)
        context.run(plan.forward, as_images(x), as_images(y))
        return y, x.shape

    def backward(
        self, dy: FloatArray, cache: Any, params: Arrays, grads: Arrays, context: Context
    ) -> FloatArray | None:
        """Spread each gradient over its window."""
        if not context.needs_dx:
            return None
        same_shape(type(self).__name__, "dy", dy, (cache[0], *self.output_shape(cache[1:])))
        dx = context.take(cache, dy.dtype)
        plan = _plan(self, cache, dy.dtype, context.n_threads)
        context.run(plan.backward, as_images(dy), as_images(dx))
        return dx


@cached
def _plan(layer: AvgPool, shape: Shape, dtype: Any, n_threads: int) -> AvgPoolPlan:
    """Return the plan for batches of this shape."""
    images = (shape[0], *as_image_shape(shape[1:]))
    return AvgPoolPlan(images, layer.window(shape[1:]), dtype, n_threads, layer.count_include_pad)
