"""The bottleneck block of deep residual networks."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

from pyconvx._core.numbers import as_int
from pyconvx._core.types import Pair, Shape
from pyconvx.layers.activation import Activation
from pyconvx.layers.base import Layer
from pyconvx.layers.batch_norm import BatchNorm
from pyconvx.layers.conv1d import Conv1D
from pyconvx.layers.conv2d import Conv2D
from pyconvx.layers.residual import Residual, SkipBlock


@dataclass(frozen=True)
class Bottleneck(SkipBlock):
    """A residual block of three convolutions, 1x1 - 3x3 - 1x1, each with batch norm.

    Parameters
    ----------
    filters : int
        Channels of the first two convolutions; the block gives ``expansion`` times as many.
    stride : int or (int, int), default=1
        Of the 3x3 convolution.
    expansion : int, default=4
    projection : bool, optional
        Whether the skip path is a 1x1 convolution with batch norm, as a block that changes the shape needs it. By
        default it is if the stride is not 1; with stride 1, True is for inputs that do not have
        ``expansion * filters`` channels.
    activation : str or object, default="relu"
        After the first two convolutions.
    spatial_dims : {1, 2}, default=2
        1 for signals, 2 for images.

    Notes
    -----
    It is a `Residual` of these layers, and its parameters are named like those of one; the convolutions
    have no bias. He et al., CVPR 2016, where the first convolution has the stride; with the second, no cell is
    passed over. Put ``Activation`` after it, which then runs inside the addition.
    """

    filters: int
    _: KW_ONLY
    stride: int | Pair = 1
    expansion: int = 4
    projection: bool | None = None
    activation: object = "relu"
    spatial_dims: int = 2

    def __post_init__(self) -> None:
        """Refuse sizes that no input could make legal."""
        super().__post_init__()
        as_int("Bottleneck: filters", self.filters, 1)
        as_int("Bottleneck: expansion", self.expansion, 1)
        if as_int("Bottleneck: spatial_dims", self.spatial_dims, 1) > 2:
            raise ValueError(f"Bottleneck: spatial_dims must be 1 or 2, got {self.spatial_dims}")
        if not (self.projection is None or isinstance(self.projection, bool)):
            raise TypeError(f"Bottleneck: projection must be a bool or None, got {self.projection!r}")
        self.parts()

    @property
    def axes(self) -> int:
        """The number of axes that its windows slide along."""
        return self.spatial_dims

    def parts(self) -> tuple[tuple[Layer, ...], ...]:
        """Return the block and, if there is a projection, the skip path."""
        conv: Any = Conv1D if self.spatial_dims == 1 else Conv2D
        wide, activation = self.expansion * self.filters, Activation(self.activation)
        block = (
            conv(self.filters, 1, bias=False), BatchNorm(), activation,
            conv(self.filters, 3, stride=self.stride, padding=1, bias=False), BatchNorm(), activation,
            conv(wide, 1, bias=False), BatchNorm(),
        )  # fmt: skip
        projects = self.stride not in (1, (1,), (1, 1)) if self.projection is None else self.projection
        return (block, (conv(wide, 1, stride=self.stride, bias=False), BatchNorm())) if projects else (block,)

    def with_parts(self, parts: tuple[tuple[Layer, ...], ...]) -> Residual:
        """Return a block made of other layers."""
        return Residual(*parts)

    def remedy(self, shape: Shape) -> str:
        """Say how to project."""
        return f"set projection=True, or give it {shape[-1]} channels and stride=1"
