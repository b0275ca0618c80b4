"""Max pooling over any number of axes; the arithmetic is `pyconvx.ops.pooling`."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

from pyconvx._core.types import FloatArray, Shape
from pyconvx.layers.base import Arrays, cached
from pyconvx.layers.context import Context
from pyconvx.layers.epilogue import Epilogue
from pyconvx.layers.pool import Pool
from pyconvx.layers.space import as_image_padding, as_image_shape, as_image_sizes, as_images, check_sizes
from pyconvx.ops.geometry import as_padding
from pyconvx.ops.pool_plan import MaxPoolPlan

_NO_PADDING = ((0, 0), (0, 0))


@dataclass(frozen=True)
class MaxPool(Pool):
    """What max pooling layers share."""

    _: KW_ONLY
    dilation: int | tuple[int, ...] = 1
    ceil_mode: bool = False

    def __post_init__(self) -> None:
        """Refuse sizes that no input could make legal."""
        super().__post_init__()
        check_sizes(f"{type(self).__name__}: dilation", self.dilation, self.axes)

    def epilogue(self) -> Epilogue | None:
        """Return a pool whose windows share no cell and lie inside the map, and whose taps a byte counts."""
        height, width = as_image_sizes(self.pool_size, self.axes)
        stride = as_image_sizes(self.pool_size if self.stride is None else self.stride, self.axes)
        inside = as_padding(as_image_padding(self.padding, self.axes)) == _NO_PADDING and not self.ceil_mode
        apart = stride[0] >= height and stride[1] >= width
        plain = as_image_sizes(self.dilation, self.axes) == (1, 1) and 2 <= height * width <= 254
        return Epilogue(pool=self) if inside and apart and plain else None

    def forward(self, x: FloatArray, params: Arrays, context: Context) -> tuple[FloatArray, Any]:
        """Find the maxima, and the tap of each for backward."""
        plan = _plan(self, x.shape, x.dtype, context.n_threads)
        shape = (len(x), *self.output_shape(x.shape[1:]))
        y, winner = context.take(shape, x.dtype), context.take(shape, plan.winner_dtype)
        context.run(plan.forward, as_images(x), as_images(y), as_images(winner))
        return y, (x.shape, winner)

    def backward(
        self, dy: FloatArray, cache: Any, params: Arrays, grads: Arrays, context: Context
    ) -> FloatArray | None:
        """Pass each gradient to the cell of its maximum."""
        if not context.needs_dx:
            return None
        shape, winner = cache
        dx = context.take(shape, dy.dtype)
        plan = _plan(self, shape, dy.dtype, context.n_threads)
        context.run(plan.backward, as_images(dy), as_images(winner), as_images(dx))
        return dx


@cached
def _plan(layer: MaxPool, shape: Shape, dtype: Any, n_threads: int) -> MaxPoolPlan:
    """Return the plan for batches of this shape."""
    return MaxPoolPlan((shape[0], *as_image_shape(shape[1:])), layer.window(shape[1:]), dtype, n_threads)
