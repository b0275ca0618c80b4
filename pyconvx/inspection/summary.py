"""Tables of what a network costs and sees: shapes, parameters, operations, receptive field, memory."""

import html
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pyconvx._core.types import Pair, Shape
from pyconvx.layers import Activation, Dense, Layer
from pyconvx.layers.sequence import layer_names, output_shapes
from pyconvx.ops.geometry import Window

_HEAD = ("layer", "", "output", "parameters", "FLOPs", "receptive field", "memory/image")


class ReceptiveField(NamedTuple):
    """Receptive field of an output cell, and the distance of neighbours, in input pixels (rows, columns).

    ``size += (kernel - 1) * dilation * jump``, ``jump *= stride``, through every layer; Araujo et al.,
    "Computing receptive fields of convolutional neural networks", Distill 2019.
    """

    size: Pair = (1, 1)
    jump: Pair = (1, 1)

    def through(self, view: Window | None) -> "ReceptiveField":
        """The same behind one more layer; `view` is its window, None where it looks at single pixels."""
        if view is None:
            return self
        kernel, stride = (view.KH, view.KW), (view.stride_h, view.stride_w)
        dilation = (view.dilation_h, view.dilation_w)
        size = [s + (k - 1) * d * j for s, k, d, j in zip(self.size, kernel, dilation, self.jump, strict=True)]
        jump = [j * s for j, s in zip(self.jump, stride, strict=True)]
        return ReceptiveField((size[0], size[1]), (jump[0], jump[1]))


def receptive_field(layers: Sequence[Layer], input_shape: Shape) -> list[Pair | None]:
    """Rows and columns of the input that an output cell of each layer sees.

    Parameters
    ----------
    layers : sequence of layers
    input_shape : (H, W, C)

    Returns
    -------
    list of (int, int) or None
        One per layer, padding included; None from the first dense layer on, which sees everything.
    """
    shapes = [input_shape, *output_shapes(layers, input_shape)]
    fields: list[Pair | None] = []
    sight: ReceptiveField | None = ReceptiveField()
    for layer, shape in zip(layers, shapes, strict=False):
        sight = None if sight is None or isinstance(layer, Dense) else _behind(layer, shape, sight)
        fields.append(None if sight is None else sight.size)
    return fields


def _behind(layer: Any, shape: Shape, sight: ReceptiveField) -> ReceptiveField:
    """The sight behind a layer; of several paths the widest counts."""
    paths = layer.parts() if hasattr(layer, "parts") else ()
    if not paths:
        return sight.through(layer.view(shape) if hasattr(layer, "view") else None)
    seen = []
    for path in paths:
        inner, size = sight, shape
        for part in path:
            inner = _behind(part, size, inner)
            size = part.output_shape(size)
        seen.append(inner)
    rows, columns = max(s.size[0] for s in seen), max(s.size[1] for s in seen)
    return ReceptiveField((rows, columns), seen[0].jump)


class Row(NamedTuple):
    """One layer of a summary."""

    name: str
    detail: str
    output_shape: Shape
    n_parameters: int
    flops: int
    receptive_field: Pair | None
    n_bytes: int


class Summary:
    """What `CNNClassifier.summary` returns.

    Parameters
    ----------
    layers : sequence of layers
    input_shape : (H, W, C)
    dtype : {"float32", "float64"}

    Attributes
    ----------
    rows : list of Row
        FLOPs are two per multiply-add of a forward pass; memory is the layer's output for one image.
    n_parameters, flops, n_bytes : int
        Totals.
    """

    def __init__(self, layers: Sequence[Layer], input_shape: Shape, dtype: npt.DTypeLike = np.float32) -> None:
        self.input_shape, self.dtype = tuple(input_shape), np.dtype(dtype)
        shapes = [self.input_shape, *output_shapes(layers, self.input_shape)]
        fields = receptive_field(layers, self.input_shape)
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
        """The table as text."""
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
        """A table for notebooks."""

        def line(row: Sequence[str], tag: str) -> str:
            aligned = [
                f'<{tag} style="text-align:{"left" if i < 2 else "right"}">{html.escape(cell)}</{tag}>'
                for i, cell in enumerate(row)
            ]
            return f"<tr>{''.join(aligned)}</tr>"

        body = "".join(line(row, "td") for row in self._cells())
        return f"<table><thead>{line(_HEAD, 'th')}</thead><tbody>{body}</tbody></table>"


def _detail(layer: Any) -> str:
    """What distinguishes the layer from others of its class."""
    if isinstance(layer, Activation):
        return str(layer.activation)
    size = getattr(layer, "kernel_size", getattr(layer, "pool_size", None))
    if size is None:
        return ""
    text = "x".join(map(str, size)) if isinstance(size, tuple) else f"{size}x{size}"
    stride = getattr(layer, "stride", None)
    return text if stride in (None, 1, (1, 1)) else f"{text} /{stride}"


def _shape(shape: Shape) -> str:
    return "x".join(map(str, shape))


def _amount(number: float, unit: str) -> str:
    """A number with a prefix, three digits or so."""
    for prefix in ("", "k", "M", "G", "T"):
        if number < 1000 or prefix == "T":
            digits = 0 if prefix == "" else 1
            return f"{number:.{digits}f} {prefix}{unit}".strip()
        number /= 1000
    raise AssertionError
