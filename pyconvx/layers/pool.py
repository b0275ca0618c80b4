"""What pooling layers share: checks of their fields, and the window over any number of axes."""

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

from pyconvx._core.types import Shape
from pyconvx.layers.base import Layer, cached
from pyconvx.layers.space import (
    as_image_padding,
    as_image_shape,
    as_image_sizes,
    check_padding,
    check_sizes,
    expect_maps,
)
from pyconvx.ops.geometry import Window
from pyconvx.ops.pool_window import pool_window


@dataclass(frozen=True)
class Pool(Layer):
    """What max and average pooling share; a subclass says over how many axes its windows slide."""

    pool_size: int | tuple[int, ...] = 2
    _: KW_ONLY
    stride: int | tuple[int, ...] | None = None
    padding: Any = "valid"

    axes: ClassVar[int]

    def __post_init__(self) -> None:
        """Refuse sizes that no input could make legal."""
        super().__post_init__()
        name = type(self).__name__
        check_sizes(f"{name}: pool_size", self.pool_size, self.axes)
        if self.stride is not None:
            check_sizes(f"{name}: stride", self.stride, self.axes)
        check_padding(self.padding, self.axes)

    def window(self, input_shape: Shape) -> Window:
        """Return the window over inputs of this shape."""
        return _window(self, input_shape)

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return (*space, C)."""
        window = self.window(input_shape)
        return (*(window.OH, window.OW)[-self.axes :], input_shape[-1])


@cached
def _window(layer: Any, input_shape: Shape) -> Window:
    """Return the window, checked against the input."""
    expect_maps(layer, input_shape, layer.axes)
    axes = layer.axes
    stride = None if layer.stride is None else as_image_sizes(layer.stride, axes)
    dilation = as_image_sizes(getattr(layer, "dilation", 1), axes)
    return pool_window(
        type(layer).__name__, (1, *as_image_shape(input_shape)), as_image_sizes(layer.pool_size, axes), stride,
        as_image_padding(layer.padding, axes), dilation, layer.ceil_mode,
    )  # fmt: skip
