"""What max and average pooling layers share: checks of their fields, and the resolved window."""

from typing import Any

from pyconvx._core.types import Pair, Shape
from pyconvx.layers.base import cached, expect_images
from pyconvx.ops._pool_arguments import pool_window
from pyconvx.ops.geometry import Window, as_padding, as_pair


def check_pool(name: str, pool_size: object, stride: object, padding: object) -> None:
    """Refuse sizes that no input could make legal."""
    as_pair(f"{name}: pool_size", pool_size, 1)
    if stride is not None:
        as_pair(f"{name}: stride", stride, 1)
    as_padding(padding)


@cached
def pool_view(layer: Any, input_shape: Shape, dilation: int | Pair) -> Window:
    """The resolved window; an error shows the layer."""
    expect_images(layer, input_shape)
    return pool_window(
        str(layer), (1, *input_shape), layer.pool_size, layer.stride, layer.padding, dilation, layer.ceil_mode
    )
