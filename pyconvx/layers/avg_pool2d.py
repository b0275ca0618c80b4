"""Average pooling as a layer; the arithmetic is `pyconvx._ext.pool`."""

from dataclasses import KW_ONLY, dataclass
from typing import Any

from pyconvx._core.arrays import same_shape
from pyconvx._core.types import FloatArray, Padding, Pair, Shape
from pyconvx._ext import pool
from pyconvx.layers._pool import check_pool, pool_view
from pyconvx.layers.base import Arrays, Context, Layer
from pyconvx.ops._pool_arguments import pool_threads
from pyconvx.ops.geometry import Window


@dataclass(frozen=True)
class AvgPool2D(Layer):
    """The mean of each window, channel by channel.

    Parameters
    ----------
    pool_size, stride, padding, ceil_mode
        As for MaxPool2D.
    count_include_pad : bool, default=False
        Whether padding counts as zeros in the mean.
    """

    pool_size: int | Pair = 2
    _: KW_ONLY
    stride: int | Pair | None = None
    padding: Padding = "valid"
    ceil_mode: bool = False
    count_include_pad: bool = False

    def __post_init__(self) -> None:
        """Refuse sizes that no input could make legal."""
        super().__post_init__()
        check_pool("AvgPool2D", self.pool_size, self.stride, self.padding)

    def view(self, input_shape: Shape) -> Window:
        """The window over inputs of this shape."""
        return pool_view(self, input_shape, 1)

    def output_shape(self, input_shape: Shape) -> Shape:
        """(OH, OW, C)."""
        view = self.view(input_shape)
        return view.OH, view.OW, input_shape[2]

    def _sizes(self, view: Window) -> tuple[int | bool, ...]:
        """What the kernels take."""
        sides = (view.top, view.left, view.bottom, view.right)
        return (view.KH, view.KW, view.stride_h, view.stride_w, *sides, self.count_include_pad)

    def forward(self, x: FloatArray, params: Arrays, context: Context) -> tuple[FloatArray, Any]:
        """Means."""
        view = self.view(x.shape[1:])
        y = context.workspace.take((len(x), view.OH, view.OW, x.shape[3]), x.dtype)
        pool.avg_pool(x, y, *self._sizes(view), pool_threads(context.n_threads, x))  # type: ignore[call-arg]
        return y, x.shape

    def backward(
        self, dy: FloatArray, cache: Any, params: Arrays, grads: Arrays, context: Context
    ) -> FloatArray | None:
        """Each gradient shared out over its window."""
        if not context.needs_dx:
            return None
        same_shape("AvgPool2D", "dy", dy, (cache[0], *self.output_shape(cache[1:])))
        dx = context.workspace.take(cache, dy.dtype)
        sizes = self._sizes(self.view(cache[1:]))
        pool.avg_pool_backward(dy, dx, *sizes, pool_threads(context.n_threads, dx))  # type: ignore[call-arg]
        return dx
