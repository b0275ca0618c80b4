"""A network compiled for predicting: batch norm folded, kernels transformed, every array in place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pyconvx._core.threads import resolve_threads
from pyconvx._core.types import FloatArray, Shape
from pyconvx._core.workspace import Workspace
from pyconvx.layers import Context, Layer, Program
from pyconvx.layers.sequence import sequence_forward, steps_of
from pyconvx.network.folding import folded
from pyconvx.network.network import Network

_BATCH_BYTES = 5 << 19  # of the maps of a batch, for each thread: they stay in its cache
_MOST_ROWS = 256
_MOST_PROGRAMS = 4


class CompiledNetwork:
    """Outputs of a network with the parameters that it had when it was compiled.

    Parameters
    ----------
    network : Network
    n_threads : int
        Changes no bit.

    Attributes
    ----------
    rows : int
        Most samples that are computed at once; memory bounds them.
    """

    def __init__(self, network: Network, n_threads: int) -> None:
        self.input_shape, self.output_shape = network.input_shape, network.output_shape
        self.dtype, self.n_threads = network.dtype, resolve_threads(n_threads)
        # copies: later training must not reach what is folded and transformed now
        arrays = {name: array.copy() for name, array in network.parameters.items()}
        self._layers, self._params = folded(network.layers, arrays)
        numbers = math.prod(network.input_shape) + _numbers_written(self._layers, network.input_shape)
        # if the parameters do not fit a cache either, a batch reads as much of maps as of parameters
        room = max(_BATCH_BYTES * self.n_threads, network.buffer.nbytes)
        self.rows = max(1, min(_MOST_ROWS, room // (numbers * network.dtype.itemsize)))
        self._constants: dict[Any, Any] = {}
        self._programs: dict[int, tuple[Program, FloatArray, FloatArray]] = {}

    def program(self, rows: int) -> tuple[Program, FloatArray, FloatArray]:
        """Return the program for batches of so many rows, its input array and its output array."""
        known = self._programs.get(rows)
        if known is None:
            if len(self._programs) >= _MOST_PROGRAMS:
                self._programs.clear()
            program = Program(self._constants)
            context = Context(False, Workspace(), self.n_threads, program=program)
            x = context.take((rows, *self.input_shape), self.dtype)
            known = program, x, sequence_forward(self._layers, x, self._params, context)[0]
            self._programs[rows] = known
        return known

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without what belongs to this process's memory."""
        return self.__dict__ | {"_constants": {}, "_programs": {}}


def _numbers_written(layers: Sequence[Layer], shape: Shape) -> int:
    """Count the numbers in all maps that a pass over one sample writes, also inside blocks."""
    total = 0
    for step in steps_of(layers):
        for path in step.layer.parts() if hasattr(step.layer, "parts") else ():
            total += _numbers_written(path, shape)
        shape = step.layer.output_shape(shape)
        total += math.prod(shape)
    return total
