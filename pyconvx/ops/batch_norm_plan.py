"""Batch normalisation planned for batches of one shape: the statistics, the map of each channel, the gradients."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from pyconvx._ext import batch_norm

Run = Callable[..., None]  # a kernel that takes arrays


class BatchNormPlan:
    """Batch normalisation of arrays (n_samples, positions, channels), an image being `positions` pixels.

    Sums are in float64 and run through at most 16 blocks of samples: no result depends on the number of threads.

    Parameters
    ----------
    n_samples, positions, channels : int
        Shape of the batch.
    dtype : dtype
        float32 or float64.
    n_threads : int
        As `resolve_threads` returns it; work that is too small to share takes one thread.

    Attributes
    ----------
    scratch : int
        Numbers of float64 that `moments` and `backward` need as scratch.

    Notes
    -----
    As for `ConvPlan`: arrays are C-contiguous, and a run raises ValueError for one of another shape or type.
    """

    def __init__(
        self, n_samples: int, positions: int, channels: int, dtype: npt.DTypeLike, n_threads: int
    ) -> None:
        itemsize = np.dtype(dtype).itemsize
        self._norm = batch_norm.BatchNorm(n_samples, positions, channels, itemsize, n_threads)
        self.scratch = self._norm.scratch

    @property
    def moments(self) -> Run:
        """Run ``moments(x, moments, scratch)``.

        Write the mean of each channel and its biased variance to `moments`, float64 of shape (2, C).
        """
        return self._norm.moments

    @property
    def apply(self) -> Run:
        """Run ``apply(x, mean, scale, shift, y, activated, activation)``.

        Write (x - mean) * scale + shift, with one number of each for each channel, to `y`, and f of it to
        `activated`, which may be `y`; `activation` is the capsule of f, or None.
        """
        return self._norm.apply

    @property
    def backward(self) -> Run:
        """Run ``backward(x, dy, moments, gamma, dx, dgamma, dbeta, scratch)``.

        `moments`, float64 of shape (2, C), holds the mean of each channel and 1 / sqrt(variance + eps). Write the
        gradient of the input to `dx`, and add those of gamma and beta to `dgamma` and `dbeta`.
        """
        return self._norm.backward
