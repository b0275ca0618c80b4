"""Global average pooling of images as a layer."""

from dataclasses import dataclass
from typing import ClassVar

from pyconvx.layers.global_pool import GlobalAvgPool


@dataclass(frozen=True)
class GlobalAvgPool2D(GlobalAvgPool):
    """The mean of each channel over the whole map: (H, W, C) becomes (C,)."""

    axes: ClassVar[int] = 2
