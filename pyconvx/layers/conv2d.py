"""Convolution of images as a layer."""

from dataclasses import dataclass
from typing import ClassVar

from pyconvx.layers.conv import Conv


@dataclass(frozen=True)
class Conv2D(Conv):
    """Convolution (cross-correlation) of images with learnt kernels.

    Parameters
    ----------
    filters : int
        Output channels.
    kernel_size : int or (int, int), default=3
        Height and width of the kernels, in pixels.
    stride, dilation : int or (int, int), default=1
        Step between windows, distance between taps.
    padding : int, pair, pair of pairs, "same" or "valid", default="valid"
        Zeros around the image; see `pyconvx.ops.conv2d`.
    groups : int, default=1
        Each group of filters sees its share of the input channels only.
    bias : bool, default=True
        Whether each filter adds a learnt number.
    initializer : str, object or None, default=None
        Starting kernels; None takes the network's.

    Notes
    -----
    Input (H, W, C), output (OH, OW, filters); parameters ``kernel`` (KH, KW, C / groups, filters) and
    ``bias`` (filters,).
    """

    axes: ClassVar[int] = 2
