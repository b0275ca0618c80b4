"""Checks of sample weights."""

from typing import Any

import numpy as np

from pyconvx._core.arrays import as_numpy, refuse_odd_array
from pyconvx._core.types import FloatArray


def check_weights(sample_weight: Any, n: int, name: str = "sample_weight") -> FloatArray:
    """Return weights as float64 of shape (n,); refuse non-finite and negative ones, and all zero."""
    if sample_weight is None:
        return np.ones(n)
    sample_weight = as_numpy(sample_weight)
    refuse_odd_array(name, sample_weight)
    weights = np.asarray(sample_weight, dtype=np.float64)
    if weights.ndim == 0:
        weights = np.full(n, weights)
    if weights.shape != (n,):
        raise ValueError(f"{name}.shape == {weights.shape}, expected {(n,)}!")
    if not np.isfinite(weights).all():
        raise ValueError(f"Input {name} contains NaN or infinity.")
    if (weights < 0).any():
        raise ValueError(f"{name} must not contain a negative weight, the smallest is {weights.min()}")
    if not weights.any():
        raise ValueError(f"{name} must contain at least one non-zero weight")
    return weights
