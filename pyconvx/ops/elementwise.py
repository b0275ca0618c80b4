"""Loops over single numbers: compiled activations on flat arrays, and the sum of two arrays.

These are the compiled functions themselves. They check that shapes fit and leave everything else to their
callers: flat C-contiguous arrays, all float32 or all float64. Each writes into an array that it is given.

activate             y = f(x)
activate_backward    dx = dy f'(x)
add                  out = x + y, then f of the sum if an activation is given
"""

from pyconvx._ext.activations import add
from pyconvx._ext.activations import backward as activate_backward
from pyconvx._ext.activations import forward as activate

__all__ = ["activate", "activate_backward", "add"]
