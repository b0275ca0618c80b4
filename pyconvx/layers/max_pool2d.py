"""Max pooling as a layer; the arithmetic is `pyconvx._ext.pool`."""

from dataclasses import KW_ONLY, dataclass
from typing import Any

from pyconvx._core.types import FloatArray, Padding, Pair, Shape
from pyconvx._ext import pool
from pyconvx.layers._pool import check_pool, pool_view
from pyconvx.layers.base import Arrays, Context, Layer
from pyconvx.ops._pool_arguments import pool_threads, winner_dtype
from pyconvx.ops.geometry import Window, as_pair


@dataclass(frozen=True)
class MaxPool2D(Layer):
    """The largest value of each window, channel by channel.

    Parameters
    ----------
    pool_size : int or (int, int), default=2
    stride : int or (int, int), optional
        Step between windows; `pool_size` by default, so that windows do not overlap.
    padding, dilation, ceil_mode
        See `pyconvx.ops.max_pool2d`.
    """

    pool_size: int | Pair = 2
    _: KW_ONLY
    stride: int | Pair | None = None
    padding: Padding = "valid"
    dilation: int | Pair = 1
    ceil_mode: bool = False

    def __post_init__(self) -> None:
        """Refuse sizes that no input could make legal."""
        super().__post_init__()
        check_pool("MaxPool2D", self.pool_size, self.stride, self.padding)
        as_pair("MaxPool2D: dilation", self.dilation, 1)

    def view(self, input_shape: Shape) -> Window:
        """The window over inputs of this shape."""
        return pool_view(self, input_shape, self.dilation)

    def output_shape(self, input_shape: Shape) -> Shape:
        """(OH, OW, C)."""
        view = self.view(input_shape)
        return view.OH, view.OW, input_shape[2]

    def forward(self, x: FloatArray, params: Arrays, context: Context) -> tuple[FloatArray, Any]:
        """Maxima, and for backward the winning tap of each window."""
        view = self.view(x.shape[1:])
        shape = (len(x), view.OH, view.OW, x.shape[3])
        y = context.workspace.take(shape, x.dtype)
        winner = context.workspace.take(shape, winner_dtype(str(self), view))
        pool.max_pool(x, y, winner, *view.sizes, pool_threads(context.n_threads, x))
        return y, (x.shape, winner)

    def backward(
        self, dy: FloatArray, cache: Any, params: Arrays, grads: Arrays, context: Context
    ) -> FloatArray | None:
        """Each gradient at its winner."""
        if not context.needs_dx:
            return None
        shape, winner = cache
        dx = context.workspace.take(shape, dy.dtype)
        threads = pool_threads(context.n_threads, dx)
        pool.max_pool_backward(dy, winner, dx, *self.view(shape[1:]).sizes, threads)
        return dx
