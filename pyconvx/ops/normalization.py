"""Batch normalisation of arrays whose last axis holds the channels.

These are the compiled functions themselves: C-contiguous arrays, all float32 or all float64, with statistics in
float64. Sums run through 16 fixed blocks of samples, so no result depends on the number of threads.

norm_scratch           float64 numbers of scratch that the sums need
batch_moments          mean and variance of each channel
centre_scale_shift     y = (x - mean) scale + shift, then f(y) if an activation is given
batch_norm_backward    gradients of the input, of gamma and of beta
"""

from pyconvx._ext.pointwise import batch_moments, batch_norm_backward, centre_scale_shift, norm_scratch

__all__ = ["batch_moments", "batch_norm_backward", "centre_scale_shift", "norm_scratch"]
