"""The table of a network's layers: shapes, parameters, operations, receptive fields, memory."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pyconvx._core.types import Shape
from pyconvx.inspection.receptive_field import receptive_fields
from pyconvx.layers import Activation, Layer
from pyconvx.layers.sequence import layer_names, output_shapes

_HEAD = ("layer", "", "output", "parameters", "FLOPs", "receptive field", "memory/sample")


class Row(NamedTuple):
    """One layer of a summary."""

    name: str
    detail: str
    output_shape: Shape
    n_parameters: int
    flops: int
    receptive_field: Shape | None
    n_bytes: int


class Summary:
    """A table of layers, which prints as text and shows as HTML in notebooks.

    Parameters
    ----------
    layers : sequence of layers
    input_shape : tuple of int
        Shape of one sample.
    dtype : {"float32", "float64"}

    Attributes
    ----------
    rows : list of Row
        One per layer. FLOPs count two for each multiply-add of a forward pass of one sample; the memory is
        that of the layer's output for one sample.
    n_parameters, flops, n_bytes : int
        Totals.
    """

    def __init__(self, layers: Sequence[Layer], input_shape: Shape, dtype: npt.DTypeLike = np.float32) -> None:
        self.input_shape, self.dtype = tuple(input_shape), np.dtype(dtype)
        shapes = [self.input_shape, *output_shapes(layers, self.input_shape)]
        fields = receptive_fields(layers, self.input_shape)
        self.rows = []
        for i, (name, layer) in enumerate(zip(layer_names(layers), layers, strict=True)):
            specs = layer.parameters(shapes[i]).values()
            count = sum(math.prod(spec.shape) for spec in specs if spec.kind != "state")
            flops = 2 * layer.multiplications(shapes[i]) if hasattr(layer, "multiplications") else 0
            n_bytes = math.prod(shapes[i + 1]) * self.dtype.itemsize
            self.rows.append(Row(name, _detail(layer), shapes[i + 1], count, flops, fields[i], n_bytes))
        self.n_parameters = sum(row.n_parameters for row in self.rows)
        self.flops = sum(row.flops for row in self.rows)
        self.n_bytes = sum(row.n_bytes for row in self.rows)

    def _cells(self) -> list[tuple[str, ...]]:
        """Return the table as text, without its head."""
        cells: list[tuple[str, ...]] = [("input", "", _shape(self.input_shape), "", "", "", "")]
        for row in self.rows:
            field = "all" if row.receptive_field is None else "x".join(map(str, row.receptive_field))
            size = _amount(row.n_bytes, "B")
            flops = _amount(row.flops, "") if row.flops else ""
            count = f"{row.n_parameters:,}" if row.n_parameters else ""
            cells.append((row.name, row.detail, _shape(row.output_shape), count, flops, field, size))
        total = _amount(self.n_bytes, "B")
        cells.append(("total", str(self.dtype), "", f"{self.n_parameters:,}", _amount(self.flops, ""), "", total))
        return cells

    def __str__(self) -> str:
        cells = [_HEAD, *self._cells()]
        widths = [max(len(row[i]) for row in cells) for i in range(len(_HEAD))]
        lines = []
        for row in cells:
            left = [cell.ljust(width) for cell, width in zip(row[:2], widths, strict=False)]
            right = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
            lines.append("  ".join([*left, *right]).rstrip())
        rule = "-" * max(map(len, lines))
        return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """Return the table for notebooks."""

        def line(row: Sequence[str], tag: str) -> str:
            aligned = [
                f'<{tag} style="text-align:{"left" if i < 2 else "right"}">{html.escape(cell)}</{tag}>'
                for i, cell in enumerate(row)
            ]
            return f"<tr>{''.join(aligned)}</tr>"

        body = "".join(line(row, "td") for row in self._cells())
        return f"<table><thead>{line(_HEAD, 'th')}</thead><tbody>{body}</tbody></table>"


def _detail(layer: Any) -> str:
    """Return what distinguishes the layer from others of its class."""
    if isinstance(layer, Activation):
        return str(layer.activation)
    size = getattr(layer, "kernel_size", getattr(layer, "pool_size", None))
    if size is None:
        return ""
    text = "x".join(map(str, size)) if isinstance(size, tuple) else f"{size}x{size}"
    stride = getattr(layer, "stride", None)
    return text if stride in (None, 1, (1, 1)) else f"{text} /{stride}"


def _shape(shape: Shape) -> str:
    """Return a shape as text."""
    return "x".join(map(str, shape))


def _amount(number: float, unit: str) -> str:
    """Return a number with a prefix, rounded to about three digits."""
    for prefix in ("", "k", "M", "G", "T"):
        if number < 1000 or prefix == "T":
            digits = 0 if prefix == "" else 1
            return f"{number:.{digits}f} {prefix}{unit}".strip()
        number /= 1000
    raise AssertionError
