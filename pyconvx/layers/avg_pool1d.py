"""Average pooling of signals as a layer."""

from dataclasses import dataclass
from typing import ClassVar

from pyconvx.layers.avg_pool import AvgPool


@dataclass(frozen=True)
class AvgPool1D(AvgPool):
    """The mean of each window of a signal, channel by channel.

    Parameters
    ----------
    pool_size, stride, padding, ceil_mode
        As for MaxPool1D.
    count_include_pad : bool, default=False
        Whether padding counts as zeros in the mean.

    Notes
    -----
    Input (L, C), output (OL, C).
    """

    axes: ClassVar[int] = 1
