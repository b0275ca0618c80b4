"""Samples as they lie in memory, read a batch at a time.

The whole array is never copied: any strides, byte order, memory map or channel order will do. Integers stay
what they are and are scaled as batches are drawn, uint8 by 1/255.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pyconvx._core.arrays import FLOATS, check_array
from pyconvx._core.threads import resolve_threads
from pyconvx._core.types import Array, FloatArray, Shape
from pyconvx.ops.batches import gather

_DIRECT = (np.dtype(np.uint8), np.dtype(np.float32), np.dtype(np.float64))


class ArraySource:
    """Rows of an array as samples.

    Parameters
    ----------
    X : array of shape (n, ...)
        Numbers of any real dtype; each row holds the numbers of one sample.
    shape : (*space, C)
        Of one sample: (H, W, C) for images, (L, C) for signals.
    channels_first : bool
        Whether rows are ordered (C, *space).
    scale : float, optional
        What the numbers are multiplied by as batches are drawn; by default 1/255 for uint8, else 1.
    """

    def __init__(
        self, X: Array, shape: Shape, *, channels_first: bool = False, scale: float | None = None
    ) -> None:
        if math.prod(X.shape[1:]) != math.prod(shape):
            raise ValueError(f"rows of shape {X.shape[1:]} hold no samples of shape {shape}")
        self.X = X
        self.shape = shape
        self.channels_first = channels_first
        self.scale = (1.0 / 255.0 if X.dtype == np.uint8 else 1.0) if scale is None else scale
        direct = X.flags.c_contiguous and X.flags.aligned and X.dtype in _DIRECT and X.dtype.isnative
        reorder = channels_first and shape[-1] > 1 and math.prod(shape[:-1]) > 1
        self._rows = X.reshape(len(X), math.prod(shape)) if direct and not reorder else None

    def __len__(self) -> int:
        return len(self.X)

    def take(self, index: npt.NDArray[np.int64], out: FloatArray, n_threads: int = 1) -> None:
        """Write the samples of these rows to `out` (B, *space, C), in its dtype, scaled."""
        check_array("out", out, FLOATS, 1 + len(self.shape), written=True)
        if out.shape != (len(index), *self.shape):  # the kernel does not look
            raise ValueError(f"{len(index)} samples of shape {self.shape} do not fit into {out.shape}")
        rows = self._rows
        if rows is None:
            rows = self._ordered(index, out.dtype)
            index = np.arange(len(index), dtype=np.int64)
        gather(rows, index, out.reshape(len(out), -1), self.scale, resolve_threads(n_threads))

    def _ordered(self, index: npt.NDArray[np.int64], dtype: npt.DTypeLike) -> Array:
        """Return the rows, copied into channels-last order, in a dtype that the kernel reads."""
        *space, C = self.shape
        outside = np.flatnonzero((index < 0) | (index >= len(self)))
        if len(outside):
            raise ValueError(f"rows must be from 0 to {len(self) - 1}, got {index[outside[0]]} at {outside[0]}")
        samples = self.X[index]
        if self.channels_first:
            samples = np.moveaxis(samples.reshape(len(index), C, *space), 1, -1)
        native = samples.dtype.newbyteorder("=")
        return np.ascontiguousarray(samples, native if native in _DIRECT else dtype).reshape(len(index), -1)


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Rows to train on, with what is known of each.

    Parameters
    ----------
    source : ArraySource
    rows : int64 array of shape (n,)
        Rows of the source to train on.
    targets : array of shape (n, ...)
        Encoded as the loss takes them, of any shape and dtype.
    weights : float array of shape (n,)
    """

    source: ArraySource
    rows: npt.NDArray[np.int64]
    targets: Array
    weights: FloatArray

    def __len__(self) -> int:
        return len(self.rows)
