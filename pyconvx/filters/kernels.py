"""The classic 3 x 3 kernels.

They are applied by cross-correlation, without a flip. Edge kernels sum to 0: a flat area gives 0, and the sign
of the output is the direction of the edge. The other kernels sum to 1 and preserve the brightness.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt


def _kernel(*rows: tuple[float, ...], divisor: float = 1.0) -> npt.NDArray[np.float64]:
    """Make a read-only kernel."""
    kernel = np.array(rows, np.float64) / divisor
    kernel.flags.writeable = False
    return kernel


KERNELS: Mapping[str, npt.NDArray[np.float64]] = MappingProxyType(
    {
        # Positive if the left side is brighter, negative if the right side is. Sobel's kernels give the middle
        # line double weight; some books print both with the opposite sign.
        "vertical": _kernel((1, 0, -1), (1, 0, -1), (1, 0, -1)),
        "sobel_x": _kernel((1, 0, -1), (2, 0, -2), (1, 0, -1)),
        # Positive if the upper side is brighter.
        "horizontal": _kernel((1, 1, 1), (0, 0, 0), (-1, -1, -1)),
        "sobel_y": _kernel((1, 2, 1), (0, 0, 0), (-1, -2, -1)),
        # For edges that run like \: positive if the upper right is brighter. For those like /: the upper left.
        "diagonal": _kernel((0, 1, 1), (-1, 0, 1), (-1, -1, 0)),
        "anti_diagonal": _kernel((1, 1, 0), (1, 0, -1), (0, -1, -1)),
        # Second derivatives, 0 on a ramp. On a bright point the first is negative, the second positive. The
        # second is often called a corner detector, but it responds to points and edges as well.
        "laplacian": _kernel((0, 1, 0), (1, -4, 1), (0, 1, 0)),
        "laplacian_8": _kernel((-1, -1, -1), (-1, 8, -1), (-1, -1, -1)),
        "box_blur": _kernel((1, 1, 1), (1, 1, 1), (1, 1, 1), divisor=9),
        "gaussian_blur": _kernel((1, 2, 1), (2, 4, 2), (1, 2, 1), divisor=16),
        "sharpen": _kernel((0, -1, 0), (-1, 5, -1), (0, -1, 0)),
        "identity": _kernel((0, 0, 0), (0, 1, 0), (0, 0, 0)),
    }
)


def get_kernel(kernel: str | npt.ArrayLike) -> npt.NDArray[Any]:
    """Return the kernel of a name, or the given kernel after a check.

    Parameters
    ----------
    kernel : str or array of shape (KH, KW)
        A name from `KERNELS`, or numbers of your own.

    Returns
    -------
    array of shape (KH, KW)

    Raises
    ------
    TypeError
        If the array does not hold real numbers.
    ValueError
        If there is no kernel of that name, or the array does not have two axes.

    Examples
    --------
    >>> from pyconvx.filters import get_kernel
    >>> get_kernel("sobel_x")
    array([[ 1.,  0., -1.],
           [ 2.,  0., -2.],
           [ 1.,  0., -1.]])
    """
    if isinstance(kernel, str):
        if kernel not in KERNELS:
            close = difflib.get_close_matches(kernel, KERNELS, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise ValueError(f"no kernel is named {kernel!r}: {hint}the names are {', '.join(KERNELS)}")
        return KERNELS[kernel]
    try:
        array: npt.NDArray[Any] = np.asarray(kernel)
    except ValueError as error:
        raise ValueError(f"a kernel must have shape (KH, KW): {error}") from None
    if array.dtype.kind not in "buif":
        raise TypeError(f"a kernel must hold real numbers, got {array.dtype}")
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"a kernel must have shape (KH, KW), got {array.shape}")
    return array
