"""The networks of the comparisons as plain data, so that every side builds the same ones.

A network is a tuple of layers, a layer a tuple: its kind, then its sizes. Shapes are (H, W, C).
"""

from typing import Any

Layers = tuple[tuple[Any, ...], ...]

RELU, NORM, POOL, FLATTEN, MEAN = ("relu",), ("norm",), ("pool", 2), ("flatten",), ("mean",)


def conv(filters: int, size: int = 3, *, stride: int = 1, padding: int = 1, bias: bool = True) -> tuple[Any, ...]:
    """Return a square convolution with zeros around the image."""
    return ("conv", filters, size, stride, padding, bias)


def dense(units: int) -> tuple[Any, ...]:
    """Return a dense layer with bias."""
    return ("dense", units)


def block(filters: int, stride: int) -> Layers:
    """Return two convolutions with batch norms; if the shape changes, the other path has a 1x1 convolution."""
    first = conv(filters, stride=stride, bias=False)
    main = (first, NORM, RELU, conv(filters, bias=False), NORM)
    skip = (conv(filters, 1, stride=stride, padding=0, bias=False), NORM) if stride > 1 else ()
    return (("residual", main, skip), RELU)


DIGITS = (
    conv(32, padding=0), RELU, POOL, conv(64, padding=0), RELU, POOL, FLATTEN, dense(128), RELU, dense(10),
)  # fmt: skip
VGG = (
    conv(64), RELU, conv(64), RELU, POOL, conv(128), RELU, conv(128), RELU, POOL,
    FLATTEN, dense(256), RELU, dense(10),
)  # fmt: skip
# 1 + 2 + 2 + 2 convolutions 3x3 and two 1x1: nine
RESNET = (conv(16, bias=False), NORM, RELU, *block(16, 1), *block(32, 2), *block(64, 2), MEAN, dense(10))

NETWORKS: dict[str, tuple[Layers, tuple[int, int, int]]] = {
    "digits": (DIGITS, (28, 28, 1)),
    "vgg": (VGG, (32, 32, 3)),
    "resnet": (RESNET, (32, 32, 3)),
}


def small_digits(filters: tuple[int, int], hidden: int) -> Layers:
    """Return the network of the grid search, for 8x8 images."""
    return (
        conv(filters[0]), RELU, POOL, conv(filters[1]), RELU, POOL, FLATTEN, dense(hidden), RELU, dense(10),
    )  # fmt: skip


GRID_FILTERS = ((8, 16), (16, 32), (32, 64))
GRID_HIDDEN = (32, 64)
GRID_RATES = (1e-3, 3e-3)
