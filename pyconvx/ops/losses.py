"""Losses over rows of outputs: the value and the gradient in one pass.

These are the compiled functions themselves: C-contiguous arrays, all float32 or all float64. Sums are in double
and run through 16 fixed blocks of rows, so no result depends on the number of threads. `pyconvx.losses` checks
shapes and types first.

cross_entropy    softmax cross-entropy of logits and classes, with label smoothing
"""

from pyconvx._ext.losses import cross_entropy

__all__ = ["cross_entropy"]
