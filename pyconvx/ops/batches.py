"""Batches out of a data set that lies in memory.

gather    out = X[index] * scale: rows of uint8, float32 or float64, multiplied in double and rounded once

The compiled function itself: C-contiguous arrays of two axes; an index outside the data set is a ValueError.
"""

from pyconvx._ext.batches import gather

__all__ = ["gather"]
