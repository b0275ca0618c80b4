"""Memory that is taken again at every step, so that nothing is allocated after the first batch."""

import math

import numpy as np
import numpy.typing as npt

from pyconvx._types import Array, Shape

_ALIGNMENT = 64  # bytes: a cache line, and the widest vector


class Workspace:
    """A stack of arrays in memory that it keeps.

    `take` hands out uninitialised arrays one behind the other; `mark` and `release` give back the last
    ones, `reset` all of them. Where the memory did not suffice, more is added, and the next `reset` joins
    it into one piece. Arrays stay valid until the memory below them is taken again.
    """

    def __init__(self) -> None:
        self._pieces: list[npt.NDArray[np.uint8]] = []
        self._top = (0, 0)  # piece, offset

    def reset(self) -> None:
        """Give everything back."""
        if len(self._pieces) > 1:
            self._pieces = [_aligned(sum(piece.size for piece in self._pieces))]
        self._top = (0, 0)

    def mark(self) -> tuple[int, int]:
        """Return the present state, for `release`."""
        return self._top

    def release(self, mark: tuple[int, int]) -> None:
        """Give back what was taken since `mark`."""
        self._top = mark

    def take(self, shape: Shape, dtype: npt.DTypeLike) -> Array:
        """Return an uninitialised C-contiguous array, aligned to a cache line."""
        kind = np.dtype(dtype)
        count = math.prod(shape)
        size = -(-count * kind.itemsize // _ALIGNMENT) * _ALIGNMENT
        piece, offset = self._top
        while piece < len(self._pieces) and offset + size > self._pieces[piece].size:
            piece, offset = piece + 1, 0
        if piece == len(self._pieces):
            self._pieces.append(_aligned(max(size, 1 << 16)))
        self._top = (piece, offset + size)
        return np.ndarray(shape, kind, self._pieces[piece].data, offset)

    def owns(self, array: Array) -> bool:
        """Whether the array lies in this memory."""
        address = _address(array)
        return any(0 <= address - _address(piece) < piece.size for piece in self._pieces)


def _address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])


def _aligned(size: int) -> npt.NDArray[np.uint8]:
    """`size` bytes from the first cache line on."""
    raw = np.empty(size + _ALIGNMENT, np.uint8)
    skip = -_address(raw) % _ALIGNMENT
    return raw[skip : skip + size]
