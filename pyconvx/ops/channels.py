"""Loops over the channels of maps.

These are the compiled functions themselves. They check that shapes fit and leave everything else to their callers:
C-contiguous arrays, all float32 or all float64. Each writes into an array that it is given.

scale       y = x factors + shifts, for maps (N, P, C), with one number of each per sample and channel
products    sum of x y over the P positions, in double
copy        columns of one table as columns of another
"""

from pyconvx._ext.channels import copy, products, scale

__all__ = ["copy", "products", "scale"]
