"""Max pooling of signals as a layer."""

from dataclasses import dataclass
from typing import ClassVar

from pyconvx.layers.max_pool import MaxPool


@dataclass(frozen=True)
class MaxPool1D(MaxPool):
    """The largest value of each window of a signal, channel by channel.

    Parameters
    ----------
    pool_size : int, default=2
        Steps of the signal in a window.
    stride : int, optional
        Step between windows; `pool_size` by default, so that windows do not overlap.
    padding : int, (before, after), "same" or "valid", default="valid"
    dilation, ceil_mode
        As for MaxPool2D.

    Notes
    -----
    Input (L, C), output (OL, C).
    """

    axes: ClassVar[int] = 1
