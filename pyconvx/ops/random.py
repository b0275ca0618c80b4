"""Random numbers that are functions of (seed, purpose, epoch, sample, element) alone, and dropout.

These are the compiled functions themselves: C-contiguous arrays, float32 or float64, one row for each sample.
Neither threads nor the order in which samples come can change a number.

key                          key of one sample
keys                         keys of the samples of a batch, as a uint64 array
dropout, dropout_backward    keep an element, scaled by 1 / (1 - rate), if its number reaches the rate; else 0
"""

from pyconvx._ext.random import dropout, dropout_backward, key, keys

__all__ = ["dropout", "dropout_backward", "key", "keys"]
