"""An architecture: a plain stack of convolutions, as deep and wide as you like."""

from dataclasses import dataclass
from typing import ClassVar

from pyconvx.layers import Activation, BatchNorm, Conv2D, GlobalAvgPool2D, Layer

__all__ = ["Plain"]


@dataclass(frozen=True)
class Plain:
    """Convolutions of stride 2 with batch norm, each with twice the filters of the one before.

    Parameters
    ----------
    depth : int, default=3
    width : int, default=16
        Filters of the first convolution.
    """

    depth: int = 3
    width: int = 16

    made_for: ClassVar[tuple[int, ...]] = (32, 32, 3)

    def layers(self, input_shape: tuple[int, ...]) -> list[Layer]:
        """Return the convolutions, and a global average pool."""
        if len(input_shape) != 3:
            raise ValueError(f"Plain is for images (H, W, C), got samples of shape {input_shape}")
        layers: list[Layer] = []
        for i in range(self.depth):
            conv = Conv2D(self.width << i, 3, stride=2, padding="same", bias=False)
            layers += [conv, BatchNorm(), Activation("relu")]
        return [*layers, GlobalAvgPool2D()]
