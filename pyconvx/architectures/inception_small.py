"""A small Inception network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pyconvx._core.types import Shape
from pyconvx.architectures.base import BuiltIn
from pyconvx.architectures.blocks import conv_norm_relu
from pyconvx.layers import Concat, GlobalAvgPool2D, Layer, MaxPool2D

# channels of the 1x1 and of the 3x3 branch; one number stands for a module that halves the size
_MODULES: tuple[int | tuple[int, int], ...] = (
    (32, 32), (32, 48), 80, (112, 48), (96, 64), (80, 80), (48, 96), 96, (176, 160), (176, 160),
)  # fmt: skip


@dataclass
class InceptionSmall(BuiltIn):
    """Ten modules of parallel branches: 1x1 and 3x3 convolutions side by side, or one of stride 2 and a max pool.

    Notes
    -----
    The small Inception of Zhang et al., ICLR 2017 (arXiv:1611.03530), figure 3, for 28x28 crops of CIFAR-10. Batch
    norm and ReLU follow each convolution. For ten classes, 1,651,114 parameters: 1,649,402 as there, and a scale
    for each of the 1,712 filters, which their batch norm lacks.
    """

    made_for: ClassVar[Shape] = (28, 28, 3)

    def _stack(self, input_shape: Shape) -> Sequence[Layer]:
        """Return the layers."""
        return (*conv_norm_relu(96, 3), *map(_module, _MODULES), GlobalAvgPool2D())


def _module(channels: int | tuple[int, int]) -> Layer:
    """Return one module."""
    if isinstance(channels, int):
        return Concat(conv_norm_relu(channels, 3, stride=2), (MaxPool2D(3, stride=2, padding=1),))
    return Concat(conv_norm_relu(channels[0], 1), conv_norm_relu(channels[1], 3))
