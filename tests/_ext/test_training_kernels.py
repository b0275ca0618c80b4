"""The kernels of a training step against plain NumPy, over threads, levels and read-only inputs."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from isa import FUSED, LEVELS, load
from scipy.special import logsumexp

from pyconvx._ext import random, training

THREADS = (1, 2, 3, 5)
DTYPES = (np.float32, np.float64)


def numbers(seed: int, shape: Any, dtype: Any) -> np.ndarray:
    """Random numbers that the kernels may not write."""
    values = np.random.default_rng(seed).standard_normal(shape).astype(dtype)
    values.flags.writeable = False
    return values


def run(module: ModuleType, name: str, dtype: Any, n_threads: int, n: int = 3003) -> list[np.ndarray]:
    """All outputs of one kernel on fixed inputs; what it overwrites starts as NaN."""
    p, m, g = numbers(1, n, dtype).copy(), numbers(2, n, dtype).copy(), numbers(3, n, dtype)
    v = np.abs(numbers(4, n, dtype))
    rows, width = 37, 11
    x, out = numbers(5, (rows, width), dtype), np.full((rows, width), np.nan, dtype)
    if name == "sgd":
        module.sgd(p, g, m, 0.1, 0.9, True, n_threads)
    elif name == "adam":
        module.adam(p, g, m, v, 0.1, 0.9, 0.999, 1e-8, 0.99, n // 3, n_threads)
    elif name == "rmsprop":
        module.rmsprop(p, g, v, m, 0.1, 0.9, 1e-8, 0.5, n_threads)
    elif name == "l2":
        m[0] = module.l2(g, p, 0.3, n - 3, n_threads)
    elif name == "cross_entropy":
        targets = np.random.default_rng(6).integers(0, width, rows)
        p[0] = module.cross_entropy(x, targets, v[:rows].copy(), 0.1, out, n_threads)
    else:
        module.gather(x, np.random.default_rng(6).integers(0, rows, rows), out, 0.3, n_threads)
    return [p, m, v, out]


KERNELS = ("sgd", "adam", "rmsprop", "l2", "cross_entropy", "gather")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", KERNELS)
def test_thread_count_does_not_change_bits(name, dtype):
    first = [a.tobytes() for a in run(training, name, dtype, 1)]
    for n_threads in THREADS[1:]:
        assert [a.tobytes() for a in run(training, name, dtype, n_threads)] == first, n_threads


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", KERNELS)
def test_levels(name, dtype):
    """v3 and v4 give the same bits; the baseline differs by rounding."""
    results = {one: run(load("training", one), name, dtype, 2) for one in LEVELS}
    reference = results["baseline"]
    tolerance = 64 * np.finfo(dtype).eps
    for one, result in results.items():
        for got, want in zip(result, reference, strict=True):
            np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance, err_msg=one)
    vector = [[a.tobytes() for a in results[one]] for one in FUSED]
    assert all(result == vector[0] for result in vector)


@pytest.mark.parametrize("n_threads", THREADS)
@pytest.mark.parametrize("n", [0, 1, 2, 15, 16, 17, 300])
def test_short_arrays(n, n_threads):
    x = numbers(1, n, np.float64)
    p, v = np.ones(n), np.zeros(n)
    training.sgd(p, x, v, 0.5, 0.9, False, n_threads)
    np.testing.assert_allclose(p, 1 - 0.5 * x, rtol=1e-15)
    assert training.l2(x, v, 0.25, n, n_threads) == pytest.approx(float(np.sum(x**2)), rel=1e-14)
    np.testing.assert_allclose(v, -0.25 * x, rtol=1e-15, atol=1e-16)
    assert training.all_finite(x, n_threads) is True


def test_l2_stops_at_the_weights():
    w, g = numbers(1, 100, np.float64), np.ones(100)
    assert training.l2(w, g, 0.5, 60, 1) == pytest.approx(float(np.sum(w[:60] ** 2)), rel=1e-14)
    np.testing.assert_allclose(g[:60], 1 + 0.5 * w[:60], rtol=1e-14)
    assert (g[60:] == 1).all()


def test_squares_are_summed_in_double():
    w = np.full(100_000, 0.1, np.float32)
    assert training.l2(w, np.zeros_like(w), 1.0, w.size, 1) == pytest.approx(1e5 * float(w[0]) ** 2, rel=1e-13)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", DTYPES)
def test_all_finite(dtype, bad):
    values = np.full(999, np.finfo(dtype).max, dtype)
    assert training.all_finite(values, 3) is True
    for place in (0, 17, 500, 998):
        wrong = values.copy()
        wrong[place] = bad
        assert training.all_finite(wrong, 3) is False, place


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (5, 3), (50, 10), (7, 40)])
def test_cross_entropy(shape, dtype, smoothing):
    x = 3 * numbers(1, shape, dtype)
    rng = np.random.default_rng(2)
    targets, weights = rng.integers(0, shape[1], shape[0]), rng.uniform(0, 2, shape[0]).astype(dtype)
    gradient = np.full(shape, np.nan, dtype)
    loss = training.cross_entropy(x, targets, weights, smoothing, gradient, 2)
    exact = x.astype(np.float64)
    q = np.full(shape, smoothing / shape[1])
    q[np.arange(shape[0]), targets] += 1 - smoothing
    rows = logsumexp(exact, axis=1) - (q * exact).sum(axis=1)
    assert loss == pytest.approx(float((weights.astype(float) * rows).sum()), rel=1e-12, abs=1e-13)
    softmax = np.exp(exact - logsumexp(exact, axis=1, keepdims=True))
    expected = weights[:, None] * (softmax - q)
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=4 * np.finfo(dtype).eps)


def test_gather_converts_and_scales():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (20, 30), dtype=np.uint8)
    index = rng.integers(0, 20, 9)
    for dtype in DTYPES:
        out = np.full((9, 30), np.nan, dtype)
        training.gather(images, index, out, 1 / 255, 1)
        np.testing.assert_array_equal(out, (images[index] * (1 / 255)).astype(dtype))
        assert out.max() <= 1
    doubles = rng.standard_normal((20, 30))
    out32 = np.empty((9, 30), np.float32)
    training.gather(doubles, index, out32, 1.0, 2)
    np.testing.assert_array_equal(out32, doubles[index].astype(np.float32))
    floats = doubles.astype(np.float32)
    training.gather(floats, index, out32, 1.0, 2)
    np.testing.assert_array_equal(out32, floats[index])


@pytest.mark.parametrize(
    "call",
    [
        lambda x: training.l2(None, x, 1.0, 1, 1),
        lambda x: training.sgd(x, None, x, 0.1, 0.9, True, 1),
        lambda x: training.cross_entropy(None, None, x, 0.0, None, 1),
        lambda x: random.keys(0, 0, 0, None, None),
    ],
)
def test_none_is_refused(call: Callable[[np.ndarray], object]):
    with pytest.raises(TypeError):
        call(np.ones(3))
