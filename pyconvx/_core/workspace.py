"""Memory that every step uses again, so that nothing is allocated after the first batch."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from pyconvx._core.types import Array, Shape

_ALIGNMENT = 64  # bytes: a cache line, and the widest vector
_REMEMBERED = 1024  # arrays: more than the steps of the deepest network take


class Workspace:
    """A stack of arrays in memory that it keeps.

    `take` returns uninitialised arrays one after the other; `mark` and `release` give back the latest ones,
    `reset` all of them. If the memory is too small, a piece is added, and the next `reset` joins the pieces.
    An array is valid until its memory is taken again.
    """

    def __init__(self) -> None:
        self._pieces: list[npt.NDArray[np.uint8]] = []
        self._top = (0, 0)  # piece, offset
        # what was taken where, and the top after it: one step is like the next, and a look-up is cheap
        self._taken: dict[Any, tuple[Array, tuple[int, int]]] = {}

    def reset(self) -> None:
        """Give everything back."""
        if len(self._pieces) > 1:
            size = sum(piece.size for piece in self._pieces)
            self._pieces = []
            self._taken.clear()
            self._pieces.append(aligned_empty(size, np.uint8))
        self._top = (0, 0)

    def mark(self) -> tuple[int, int]:
        """Return the present state, for `release`."""
        return self._top

    def release(self, mark: tuple[int, int]) -> None:
        """Give back what was taken since `mark`."""
        self._top = mark

    def take(self, shape: Shape, dtype: npt.DTypeLike) -> Array:
        """Return an uninitialised C-contiguous array, aligned to a cache line."""
        key = (self._top, shape, dtype)
        known = self._taken.get(key)
        if known is None:
            if len(self._taken) >= _REMEMBERED:
                self._taken.clear()
            known = self._taken[key] = self._place(shape, np.dtype(dtype))
        array, self._top = known
        return array

    def _place(self, shape: Shape, kind: np.dtype[Any]) -> tuple[Array, tuple[int, int]]:
        """Make an array at the top; return it and the new top."""
        size = -(-math.prod(shape) * kind.itemsize // _ALIGNMENT) * _ALIGNMENT
        piece, offset = self._top
        while piece < len(self._pieces) and offset + size > self._pieces[piece].size:
            piece, offset = piece + 1, 0
        if piece == len(self._pieces):
            self._pieces.append(aligned_empty(max(size, 1 << 16), np.uint8))
        return np.ndarray(shape, kind, self._pieces[piece].data, offset), (piece, offset + size)

    def owns(self, array: Array) -> bool:
        """Return whether the array was taken here, or is a view of one that was."""
        # in NumPy the base of a view is the array that owns the memory
        return any(array.base is piece.base for piece in self._pieces)


def aligned_empty(count: int, dtype: npt.DTypeLike) -> Array:
    """Return an uninitialised vector that begins at a cache line."""
    size = count * np.dtype(dtype).itemsize
    raw = np.empty(size + _ALIGNMENT, np.uint8)
    skip = -raw.ctypes.data % _ALIGNMENT
    return raw[skip : skip + size].view(dtype)
