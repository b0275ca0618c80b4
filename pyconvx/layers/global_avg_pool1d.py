"""Global average pooling of signals as a layer."""

from dataclasses import dataclass
from typing import ClassVar

from pyconvx.layers.global_pool import GlobalAvgPool


@dataclass(frozen=True)
class GlobalAvgPool1D(GlobalAvgPool):
    """The mean of each channel over the whole signal: (L, C) becomes (C,)."""

    axes: ClassVar[int] = 1
