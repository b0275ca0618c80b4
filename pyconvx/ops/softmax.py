"""Softmax and its logarithm, row by row over arrays of shape (N, K), and their gradients.

These are the compiled functions themselves: C-contiguous arrays, all float32 or all float64, of one shape. Each
writes into an array that it is given. A row with a NaN or +infinity becomes NaN.

softmax, softmax_backward            y = e^x / sum(e^x)
log_softmax, log_softmax_backward    y = x - ln(sum(e^x))
"""

from pyconvx._ext.softmax import log_softmax, log_softmax_backward, softmax, softmax_backward

__all__ = ["log_softmax", "log_softmax_backward", "softmax", "softmax_backward"]
