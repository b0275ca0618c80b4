"""Parallel branches whose channels are put side by side."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyconvx._core.types import FloatArray, Shape
from pyconvx.layers.base import Arrays, Layer
from pyconvx.layers.composite import Composite, check_path
from pyconvx.layers.context import Context
from pyconvx.ops import channels, elementwise


@dataclass(frozen=True, init=False)
class Concat(Composite):
    """Branches that all begin at the input; their outputs are joined along the channels.

    Parameters
    ----------
    *branches : sequences of layers
        One branch each; an empty one passes the input on.
    paths : sequence of sequences of layers
        All branches as one argument.

    Notes
    -----
    Images, signals or vectors. Channels follow one another in the order of the branches, whose maps must have
    equal height and width. Parameters carry the number of the branch, ``path_1.conv2d_1.kernel``. Szegedy et al.,
    CVPR 2015 (Inception); with an empty branch, what Huang et al., CVPR 2017, call dense connections.
    """

    paths: tuple[tuple[Layer, ...], ...]

    def __init__(self, *branches: Sequence[Layer], paths: Sequence[Sequence[Layer]] = ()) -> None:
        """Take the branches one by one or as one sequence, and refuse what is none."""
        if branches and paths:
            raise TypeError("Concat: give the branches one by one or as paths=, not both")
        object.__setattr__(self, "paths", branches or paths)
        super().__post_init__()
        if not isinstance(self.paths, tuple) or not self.paths:
            raise ValueError(f"Concat: paths must be one or more sequences of layers, got {self.paths!r}")
        for i, path in enumerate(self.paths, 1):
            check_path(f"Concat: path {i}", path)

    def parts(self) -> tuple[tuple[Layer, ...], ...]:
        """Return the branches."""
        return self.paths

    def path_names(self) -> tuple[str, ...]:
        """Return path_1, path_2, ..."""
        return tuple(f"path_{i + 1}" for i in range(len(self.paths)))

    def with_parts(self, parts: tuple[tuple[Layer, ...], ...]) -> Concat:
        """Return the same with other branches."""
        return Concat(*parts)

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return (*space, sum of the branches' channels)."""
        ends = self.path_shapes(input_shape)
        if len({end[:-1] for end in ends}) > 1:
            shapes = ", ".join(map(str, ends))
            raise ValueError(
                f"Concat: the branches give {shapes}: all but the last number must be equal, which padding='same' "
                "and equal strides do"
            )
        return (*ends[0][:-1], sum(end[-1] for end in ends))

    def forward(self, x: FloatArray, params: Arrays, context: Context) -> tuple[FloatArray, Any]:
        """Run the branches and copy each to its channels; the cache holds their tapes and shapes."""
        ends, tapes = self.run_paths(x, params, context)
        widths = [end.shape[-1] for end in ends]
        y = context.take((*ends[0].shape[:-1], sum(widths)), x.dtype)
        for end, width, first in zip(ends, widths, _starts(widths), strict=True):
            context.run(channels.copy, _table(end), 0, _table(y), first, width, context.n_threads)
        return y, (tapes, widths)

    def backward(
        self, dy: FloatArray, cache: Any, params: Arrays, grads: Arrays, context: Context
    ) -> FloatArray | None:
        """Give each branch the gradient of its channels, and add the gradients of the input."""
        tapes, widths = cache
        total: FloatArray | None = None
        for i, (tape, width, first) in enumerate(zip(tapes, widths, _starts(widths), strict=True)):
            slope = context.take((*dy.shape[:-1], width), dy.dtype)
            context.run(channels.copy, _table(dy), first, _table(slope), 0, width, context.n_threads)
            dx = self.run_path_back(i, slope, tape, params, grads, context, overwrite=True)
            if not context.needs_dx:
                continue
            assert dx is not None
            if total is None:
                total = dx
            else:
                flat = total.reshape(-1)
                context.run(elementwise.add, flat, dx.reshape(-1), flat, None, None, context.n_threads)
        return total


def _starts(widths: Sequence[int]) -> list[int]:
    """Return the first channel of each branch."""
    return [0, *itertools.accumulate(widths[:-1])]


def _table(x: FloatArray) -> FloatArray:
    """Return a batch as (positions, channels)."""
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
