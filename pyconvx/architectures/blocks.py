"""Pieces that several architectures are made of: convolutions with batch norm, the basic residual block."""

from __future__ import annotations

from typing import Any

from pyconvx.layers import Activation, BatchNorm, Conv1D, Conv2D, Layer, Residual

RELU = Activation("relu")


def conv_norm(filters: int, size: int, *, stride: int = 1, axes: int = 2) -> tuple[Layer, ...]:
    """Return a convolution without bias that keeps the size, divided by the stride, and its batch norm."""
    conv: Any = Conv1D if axes == 1 else Conv2D
    padding = "same" if size % 2 == 0 else size // 2
    return (conv(filters, size, stride=stride, padding=padding, bias=False), BatchNorm())


def conv_norm_relu(filters: int, size: int, *, stride: int = 1, axes: int = 2) -> tuple[Layer, ...]:
    """Return the same with a ReLU."""
    return (*conv_norm(filters, size, stride=stride, axes=axes), RELU)


def basic_block(channels: int, filters: int, stride: int = 1) -> tuple[Layer, ...]:
    """Return ResNet's block of two 3x3 convolutions; the skip path is a 1x1 convolution if the shape changes."""
    body = (*conv_norm_relu(filters, 3, stride=stride), *conv_norm(filters, 3))
    skip = () if (channels, stride) == (filters, 1) else conv_norm(filters, 1, stride=stride)
    return (Residual(body, skip), RELU)
