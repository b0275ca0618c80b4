"""Global max pooling of signals as a layer."""

from dataclasses import dataclass
from typing import ClassVar

from pyconvx.layers.global_pool import GlobalMaxPool


@dataclass(frozen=True)
class GlobalMaxPool1D(GlobalMaxPool):
    """The largest value of each channel over the whole signal: (L, C) becomes (C,)."""

    axes: ClassVar[int] = 1
