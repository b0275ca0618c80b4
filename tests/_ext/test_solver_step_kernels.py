"""The steps of solvers and weight decay against plain NumPy, over threads, levels and read-only inputs."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from isa import FUSED, LEVELS, load

from pyconvx._ext import solver_steps

THREADS = (1, 2, 3, 5)
DTYPES = (np.float32, np.float64)


def numbers(seed: int, shape: Any, dtype: Any) -> np.ndarray:
    """Random numbers that the kernels may not write."""
    values = np.random.default_rng(seed).standard_normal(shape).astype(dtype)
    values.flags.writeable = False
    return values


def run(module: ModuleType, name: str, dtype: Any, n_threads: int) -> list[np.ndarray]:
    """Return all outputs of one kernel on fixed inputs; what it overwrites starts as NaN."""
    n = 3003
    p, m, g = numbers(1, n, dtype).copy(), numbers(2, n, dtype).copy(), numbers(3, n, dtype)
    v = np.abs(numbers(4, n, dtype))
    if name == "sgd":
        module.sgd(p, g, m, 0.1, 0.9, True, n_threads)
    elif name == "adam":
        module.adam(p, g, m, v, 0.1, (0.9, 0.999, 1e-8), (0.99, n // 3), n_threads)
    elif name == "rmsprop":
        module.rmsprop(p, g, v, m, 0.1, (0.9, 1e-8, 0.5), n_threads)
    else:
        m[0] = module.l2(g, p, 0.3, n - 3, n_threads)
    return [p, m, v]


KERNELS = (
    "sgd",
    "adam",
    "rmsprop",
    "l2",
)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", KERNELS)
def test_thread_count_does_not_change_bits(name, dtype):
    first = [a.tobytes() for a in run(solver_steps, name, dtype, 1)]
    for n_threads in THREADS[1:]:
        assert [a.tobytes() for a in run(solver_steps, name, dtype, n_threads)] == first, n_threads


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", KERNELS)
def test_levels(name, dtype):
    """v3 and v4 give the same bits; the baseline differs by rounding."""
    results = {one: run(load("solver_steps", one), name, dtype, 2) for one in LEVELS}
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
    solver_steps.sgd(p, x, v, 0.5, 0.9, False, n_threads)
    np.testing.assert_allclose(p, 1 - 0.5 * x, rtol=1e-15)
    assert solver_steps.l2(x, v, 0.25, n, n_threads) == pytest.approx(float(np.sum(x**2)), rel=1e-14)
    np.testing.assert_allclose(v, -0.25 * x, rtol=1e-15, atol=1e-16)


def test_l2_stops_at_the_weights():
    w, g = numbers(1, 100, np.float64), np.ones(100)
    assert solver_steps.l2(w, g, 0.5, 60, 1) == pytest.approx(float(np.sum(w[:60] ** 2)), rel=1e-14)
    np.testing.assert_allclose(g[:60], 1 + 0.5 * w[:60], rtol=1e-14)
    assert (g[60:] == 1).all()


def test_squares_are_summed_in_double():
    w = np.full(100_000, 0.1, np.float32)
    assert solver_steps.l2(w, np.zeros_like(w), 1.0, w.size, 1) == pytest.approx(1e5 * float(w[0]) ** 2, rel=1e-13)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: solver_steps.l2(None, x, 1.0, 1, 1),
        lambda x: solver_steps.sgd(x, None, x, 0.1, 0.9, True, 1),
    ],
)
def test_none_is_refused(call: Callable[[np.ndarray], object]):
    with pytest.raises(TypeError):
        call(np.ones(3))
