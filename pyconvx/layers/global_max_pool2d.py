"""Global max pooling of images as a layer."""

from dataclasses import dataclass
from typing import ClassVar

from pyconvx.layers.global_pool import GlobalMaxPool


@dataclass(frozen=True)
class GlobalMaxPool2D(GlobalMaxPool):
    """The largest value of each channel over the whole map: (H, W, C) becomes (C,)."""

    axes: ClassVar[int] = 2
