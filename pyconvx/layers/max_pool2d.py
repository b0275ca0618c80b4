"""Max pooling of images as a layer."""

from dataclasses import dataclass
from typing import ClassVar

from pyconvx.layers.max_pool import MaxPool


@dataclass(frozen=True)
class MaxPool2D(MaxPool):
    """The largest value of each window, channel by channel.

    Parameters
    ----------
    pool_size : int or (int, int), default=2
    stride : int or (int, int), optional
        Step between windows; `pool_size` by default, so that windows do not overlap.
    padding, dilation, ceil_mode
        See `pyconvx.ops.max_pool2d`.
    """

    axes: ClassVar[int] = 2
