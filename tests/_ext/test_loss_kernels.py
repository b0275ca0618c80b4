"""The kernels of losses against plain NumPy, over threads, levels and read-only inputs."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from isa import FUSED, LEVELS, load
from scipy.special import logsumexp

from pyconvx._ext import losses

THREADS = (1, 2, 3, 5)
DTYPES = (np.float32, np.float64)


def numbers(seed: int, shape: Any, dtype: Any) -> np.ndarray:
    """Random numbers that the kernels may not write."""
    values = np.random.default_rng(seed).standard_normal(shape).astype(dtype)
    values.flags.writeable = False
    return values


def run(module: ModuleType, name: str, dtype: Any, n_threads: int) -> list[np.ndarray]:
    """Return all outputs of one kernel on fixed inputs; what it overwrites starts as NaN."""
    rows, width = 37, 11
    x, out = numbers(5, (rows, width), dtype), np.full((rows, width), np.nan, dtype)
    weights = np.abs(numbers(4, rows, dtype))
    targets = np.random.default_rng(6).integers(0, width, rows)
    value = getattr(module, name)(x, targets, weights, 0.1, out, n_threads)
    return [np.array([value]), out]


KERNELS = ("cross_entropy",)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", KERNELS)
def test_thread_count_does_not_change_bits(name, dtype):
    first = [a.tobytes() for a in run(losses, name, dtype, 1)]
    for n_threads in THREADS[1:]:
        assert [a.tobytes() for a in run(losses, name, dtype, n_threads)] == first, n_threads


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", KERNELS)
def test_levels(name, dtype):
    """v3 and v4 give the same bits; the baseline differs by rounding."""
    results = {one: run(load("losses", one), name, dtype, 2) for one in LEVELS}
    reference = results["baseline"]
    tolerance = 64 * np.finfo(dtype).eps
    for one, result in results.items():
        for got, want in zip(result, reference, strict=True):
            np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance, err_msg=one)
    vector = [[a.tobytes() for a in results[one]] for one in FUSED]
    assert all(result == vector[0] for result in vector)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (5, 3), (50, 10), (7, 40)])
def test_cross_entropy(shape, dtype, smoothing):
    x = 3 * numbers(1, shape, dtype)
    rng = np.random.default_rng(2)
    targets, weights = rng.integers(0, shape[1], shape[0]), rng.uniform(0, 2, shape[0]).astype(dtype)
    gradient = np.full(shape, np.nan, dtype)
    loss = losses.cross_entropy(x, targets, weights, smoothing, gradient, 2)
    exact = x.astype(np.float64)
    q = np.full(shape, smoothing / shape[1])
    q[np.arange(shape[0]), targets] += 1 - smoothing
    rows = logsumexp(exact, axis=1) - (q * exact).sum(axis=1)
    assert loss == pytest.approx(float((weights.astype(float) * rows).sum()), rel=1e-12, abs=1e-13)
    softmax = np.exp(exact - logsumexp(exact, axis=1, keepdims=True))
    expected = weights[:, None] * (softmax - q)
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=4 * np.finfo(dtype).eps)


def test_none_is_refused():
    with pytest.raises(TypeError):
        losses.cross_entropy(None, None, np.ones(3), 0.0, None, 1)
