"""Average pooling of images as a layer."""

from dataclasses import dataclass
from typing import ClassVar

from pyconvx.layers.avg_pool import AvgPool


@dataclass(frozen=True)
class AvgPool2D(AvgPool):
    """The mean of each window, channel by channel.

    Parameters
    ----------
    pool_size, stride, padding, ceil_mode
        As for MaxPool2D.
    count_include_pad : bool, default=False
        Whether padding counts as zeros in the mean.
    """

    axes: ClassVar[int] = 2
