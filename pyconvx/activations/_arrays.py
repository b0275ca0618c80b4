"""Array arguments of activations: float32 or float64 of any shape, read in C order."""

import numpy.typing as npt

from pyconvx._core.arrays import as_floats, same_dtype, same_shape
from pyconvx._core.types import FloatArray


def as_triple(where: str, dy: npt.ArrayLike, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[FloatArray, ...]:
    """Return the arguments of a backward pass as arrays; they must have one shape and dtype."""
    names = ("dy", "x", "y")
    arrays = tuple(as_floats(where, name, a) for name, a in zip(names, (dy, x, y), strict=True))
    same_dtype(where, names, arrays)
    for name, array in zip(names[1:], arrays[1:], strict=True):
        same_shape(where, name, array, arrays[0].shape)
    return arrays
