"""IDX files, the format of MNIST: two zeros, a type, the number of axes, their sizes, the numbers; big-endian.

Described at http://yann.lecun.com/exdb/mnist/. The type is a byte: 8 and 9 for unsigned and signed bytes, 11 and
12 for integers of two and four bytes, 13 and 14 for floats of four and eight.
"""

import gzip
import math
import os
import zlib
from typing import IO

import numpy as np

from pyconvx._core.types import Array

_TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_MOST_AXES = 8
_PIECE = 1 << 20


def load_idx(path: str | os.PathLike[str]) -> Array:
    r"""Read an IDX file, compressed by gzip or not.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    array
        Of the shape and type that the file declares, in the machine's byte order.

    Raises
    ------
    ValueError
        If the file is damaged or of another kind.
    OSError
        If it cannot be read.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from pyconvx.datasets import load_idx
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "labels-idx1-ubyte"
    >>> _ = path.write_bytes(b"\0\0\x08\x01" + b"\0\0\0\x03" + b"\x07\x08\x09")
    >>> load_idx(path)
    array([7, 8, 9], dtype=uint8)
    """
    name = os.fspath(path)
    with open(path, "rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not compressed:
            return _read(file, name)
        try:
            with gzip.open(file) as unpacked:
                return _read(unpacked, name)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise ValueError(f"{name} is no whole gzip file: {error}") from error


def _read(file: IO[bytes] | gzip.GzipFile, name: str) -> Array:
    """Read what a file holds; a size is believed only when its bytes are there."""
    start = file.read(4)
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] not in _TYPES:
        raise ValueError(f"{name} is no IDX file: it begins with the bytes {list(start)}")
    if not 1 <= start[3] <= _MOST_AXES:
        raise ValueError(f"{name} declares {start[3]} axes, an IDX file has 1 to {_MOST_AXES}")
    sizes = file.read(4 * start[3])
    if len(sizes) < 4 * start[3]:
        raise ValueError(f"{name} ends within the sizes of its {start[3]} axes, after {4 + len(sizes)} bytes")
    shape = tuple(int(size) for size in np.frombuffer(sizes, ">u4"))
    dtype = np.dtype(_TYPES[start[2]])
    expected, data = math.prod(shape) * dtype.itemsize, bytearray()
    while len(data) <= expected and (piece := file.read(_PIECE)):
        data += piece
    if len(data) != expected:
        held = f"more than {expected:,}" if len(data) > expected else f"{len(data):,}"
        raise ValueError(
            f"{name} declares shape {shape} of {dtype.name}, {expected:,} bytes, and holds {held} bytes of numbers"
        )
    try:
        array = np.frombuffer(data, dtype).reshape(shape)
    except ValueError as error:  # sizes whose product is 0, but which no array can have
        raise ValueError(f"{name} declares shape {shape}: {error}") from error
    return array.astype(dtype.newbyteorder("="), copy=False)
