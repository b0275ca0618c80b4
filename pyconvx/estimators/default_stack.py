"""The layers that an estimator has if nobody names any: they follow the input.

Sizes that are "auto" come from the table below; what the user gives takes their place.

    input                       convolutions                             norm   pool             then
    images                      32, 64, 128, 128, ... of 3x3, as long    batch  2 between them   global average
                                as the shorter side has 3 or more, but
                                3 at least; from a side of 64 on, the
                                first has stride 2
    signals                     64 of 8, 128 of 5, then 128 of 3;        batch  2 while longer   global average
                                3 at least                                      than 128
    rows of numbers: images     32, 64 of 3                              -      2 after each     dense 128
    with a side shorter than 4,
    signals shorter than 12

Deep and narrow stacks with batch norm and a global average learn from few samples what wide dense layers learn
by heart: see "A default that suits the data" in the user guide for measurements. The stack for signals follows
the fully convolutional network of Wang, Yan and Oates (2017, arXiv:1611.06455), with pools, which make it
faster on long signals. With `filters` given, each entry makes a convolution and a max pool, and a dense layer of
128 follows, as in version 0.1.0.
"""

from collections.abc import Iterator
from itertools import chain, repeat
from numbers import Integral
from typing import Any

from pyconvx._core.types import Shape
from pyconvx.layers import (
    Activation,
    BatchNorm,
    Conv1D,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool1D,
    GlobalAvgPool2D,
    Layer,
    MaxPool1D,
    MaxPool2D,
)
from pyconvx.layers.space import as_image_padding, as_image_sizes
from pyconvx.ops.geometry import as_padding

_SHORTEST_IMAGE, _SHORTEST_SIGNAL = 4, 12  # anything shorter is a row of numbers
_LARGE_SIDE = 64  # of images, from which the first convolution has stride 2
_LONG = 128  # signals are pooled while they are longer
_FEWEST = 3  # convolutions

_Sizes = tuple[int, ...]


def is_row(input_shape: Shape) -> bool:
    """Return whether a sample is too short to be an image or a signal: it is a row of numbers."""
    return min(input_shape[:-1]) < (_SHORTEST_SIGNAL if len(input_shape) == 2 else _SHORTEST_IMAGE)


def default_stack(params: dict[str, Any], input_shape: Shape, *, norm: bool) -> tuple[Layer, ...]:
    """Return the layers before the output layer; `norm` says whether batch norm may be chosen.

    Kernels and pools are clipped to the axes, so that it works on any sample, a row of numbers too.
    """
    follows = _is_auto(params["filters"]) and not is_row(input_shape)
    stack = _Stack(
        params, input_shape, norm and follows if _is_auto(params["batch_norm"]) else params["batch_norm"]
    )
    if not follows:
        filters = (32, 64) if _is_auto(params["filters"]) else _sizes(params["filters"])
        for channels in filters:
            stack.convolve(channels, 3)
            stack.pool(2)
    elif len(input_shape) == 2:
        stack.for_signals()
    else:
        stack.for_images()
    hidden = params["hidden_layer_sizes"]
    default = () if follows else (128,)
    stack.finish(default if _is_auto(hidden) else _sizes(hidden), averages=follows)
    return tuple(stack.layers)


class _Stack:
    """Layers, as they are put one on another."""

    def __init__(self, params: dict[str, Any], input_shape: Shape, norm: bool) -> None:
        self.layers: list[Layer] = []
        self._params, self._shape, self._norm = params, input_shape, norm
        self._signals = len(input_shape) == 2

    def for_images(self) -> None:
        """Convolve and pool down to a few cells."""
        side = min(self._shape[:-1])
        stride = 2 if side >= _LARGE_SIDE else 1
        count = max(min(_FEWEST, _halvings(side // stride, 2)), _halvings(side // stride, 3))
        for place, channels in zip(range(count), _growing(32, 128), strict=False):
            self.convolve(channels, 3, 1 if place else stride)
            if place < count - 1:
                self.pool(2)

    def for_signals(self) -> None:
        """Convolve with kernels that are large at first; pool while the signal is long."""
        pools = _halvings(self._shape[0], _LONG + 1)
        count = max(_FEWEST, pools + 1)
        kernels = chain((8, 5), repeat(3))
        for place, channels, kernel in zip(range(count), _growing(64, 128), kernels, strict=False):
            self.convolve(channels, kernel)
            if place < pools:
                self.pool(2)

    def convolve(self, channels: int, kernel: int, stride: int = 1) -> None:
        """Add a convolution, a norm if there are norms, and an activation."""
        padding, chosen = self._params["padding"], self._params["kernel_size"]
        size = _clipped(kernel if _is_auto(chosen) else chosen, self._shape, padding)
        conv = Conv1D if self._signals else Conv2D
        self._add(conv(channels, size, stride=stride, padding=padding, bias=not self._norm))
        if self._norm:
            self._add(BatchNorm())
        self._add(Activation(self._params["activation"]))

    def pool(self, size: int) -> None:
        """Add a max pool, unless its window is one cell."""
        chosen = self._params["pool_size"]
        window = _clipped(size if _is_auto(chosen) else chosen, self._shape, "valid")
        if max(window) > 1:
            self._add(MaxPool1D(window) if self._signals else MaxPool2D(window))

    def finish(self, hidden: _Sizes, *, averages: bool) -> None:
        """Add what makes the maps flat, and the dense layers."""
        average = GlobalAvgPool1D() if self._signals else GlobalAvgPool2D()
        self._add(average if averages else Flatten())
        rate = float(self._params["dropout"])
        drop = [Dropout(rate)] if rate else []
        for units in hidden:
            self.layers += [Dense(units), Activation(self._params["activation"]), *drop]
        if not hidden:
            self.layers += drop

    def _add(self, layer: Layer) -> None:
        self.layers.append(layer)
        self._shape = layer.output_shape(self._shape)


def _is_auto(value: Any) -> bool:
    """Return whether a parameter leaves its value to the input."""
    return isinstance(value, str) and value == "auto"


def _halvings(size: int, least: int) -> int:
    """Return how often a size can be halved, rounded down, until it is less than the least."""
    count = 0
    while size >= least:
        size, count = size // 2, count + 1
    return count


def _growing(first: int, most: int) -> Iterator[int]:
    """Yield channels, twice as many each time up to the most."""
    while True:
        yield first
        first = min(2 * first, most)


def _sizes(value: Any) -> _Sizes:
    """Return one size or several as a tuple."""
    return tuple(int(size) for size in ([value] if isinstance(value, Integral) else value))


def _clipped(size: Any, shape: Shape, padding: Any) -> Any:
    """Return a window that is no larger than the axes with their padding."""
    axes = len(shape) - 1
    sizes = as_image_sizes(size, axes)[-axes:]
    sides = as_padding(as_image_padding(padding, axes))
    ends = [0] * axes if isinstance(sides, str) else [sum(side) for side in sides[-axes:]]
    return tuple(min(int(window), axis + end) for window, axis, end in zip(sizes, shape, ends, strict=False))
