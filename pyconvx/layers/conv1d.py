"""Convolution of signals as a layer."""

from dataclasses import dataclass
from typing import ClassVar

from pyconvx.layers.conv import Conv


@dataclass(frozen=True)
class Conv1D(Conv):
    """Convolution (cross-correlation) of signals with learnt kernels.

    Parameters
    ----------
    filters : int
        Output channels.
    kernel_size : int, default=3
        Length of the kernels, in steps of the signal.
    stride, dilation : int, default=1
        Step between windows, distance between taps.
    padding : int, (before, after), "same" or "valid", default="valid"
        Zeros at the ends of the signal; "same" gives ``ceil(L / stride)`` outputs.
    groups, bias, initializer
        As for Conv2D.

    Notes
    -----
    Input (L, C), output (OL, filters); parameters ``kernel`` (K, C / groups, filters) and ``bias``
    (filters,). It is a Conv2D of images with one row, on the same kernels and without a copy.
    """

    axes: ClassVar[int] = 1
