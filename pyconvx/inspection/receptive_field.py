"""Which part of the input an output cell depends on.

``size += (kernel - 1) * dilation * jump``, ``jump *= stride``, through every layer; Araujo et al., "Computing
receptive fields of convolutional neural networks", Distill 2019.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyconvx._core.types import Shape
from pyconvx.layers import Dense, Layer
from pyconvx.layers.sequence import output_shapes
from pyconvx.ops.geometry import Window


@dataclass(frozen=True)
class ReceptiveField:
    """The receptive field of one cell, along each axis of the input.

    Parameters
    ----------
    size : tuple of int
        How many input cells it covers: (rows, columns) of an image, (steps,) of a signal.
    jump : tuple of int
        How many input cells the fields of neighbours are apart.
    """

    size: Shape
    jump: Shape

    @classmethod
    def of_input(cls, axes: int) -> "ReceptiveField":
        """Return the field of an input cell, which is the cell itself."""
        return cls((1,) * axes, (1,) * axes)

    def through(self, window: Window | None) -> "ReceptiveField":
        """Return the field after a layer with this window; None stands for a layer that sees single cells."""
        if window is None:
            return self
        axes = len(self.size)  # of a signal it is 1: the window then slides over an image with one row
        steps = list(zip(self.size, self.jump, (window.rows, window.columns)[-axes:], strict=True))
        sizes = tuple(size + (axis.extent - 1) * jump for size, jump, axis in steps)
        return ReceptiveField(sizes, tuple(jump * axis.stride for _, jump, axis in steps))


def receptive_fields(layers: Sequence[Layer], input_shape: Shape) -> list[Shape | None]:
    """Return the part of the input that an output cell of each layer depends on.

    Parameters
    ----------
    layers : sequence of layers
    input_shape : (H, W, C) or (L, C)
        Shape of one sample.

    Returns
    -------
    list of tuple or None
        One entry per layer: the size along each axis, at most that of the input (a larger field reaches into
        the padding). It is None from the first dense layer on, where every cell depends on the whole input.
    """
    shapes = [input_shape, *output_shapes(layers, input_shape)]
    fields: list[Shape | None] = []
    field: ReceptiveField | None = ReceptiveField.of_input(max(1, len(input_shape) - 1))
    for layer, shape in zip(layers, shapes, strict=False):
        field = None if field is None or isinstance(layer, Dense) else _after(layer, shape, field)
        fields.append(None if field is None else tuple(map(min, field.size, input_shape)))
    return fields


def _after(layer: Any, shape: Shape, field: ReceptiveField) -> ReceptiveField:
    """Return the field after a layer; if the layer has several paths, the widest counts."""
    paths = layer.parts() if hasattr(layer, "parts") else ()
    if not paths:
        return field.through(layer.window(shape) if hasattr(layer, "window") else None)
    ends = []
    for path in paths:
        inner, size = field, shape
        for part in path:
            inner = _after(part, size, inner)
            size = part.output_shape(size)
        ends.append(inner)
    return ReceptiveField(tuple(map(max, zip(*(end.size for end in ends), strict=True))), ends[0].jump)
