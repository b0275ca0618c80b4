"""The dense kernels against NumPy; bits over threads, levels and batches; any number of rows."""

import numpy as np
import pytest
from isa import FUSED, LEVELS, load
from numpy.testing import assert_allclose, assert_array_equal
from plans import scratch_of

from pyconvx._ext import activations, dense

DTYPES = (np.float32, np.float64)
ROWS = (1, 2, 3, 7, 24, 25, 300)
# inputs, outputs: whole vectors on every level, on some, on none; sums of more than one slab
SHAPES = [(48, 32), (1030, 128), (130, 1), (33, 10), (5, 77), (64, 200), (300, 513)]


def rng(seed):
    return np.random.default_rng(seed)


def run(kernels, shape, N, dtype, n_threads):
    """y, dx, dw of fixed arrays; arrays that are overwritten start as NaN."""
    inputs, outputs = shape
    x, w, dy = (
        rng(i).normal(size=size).astype(dtype) for i, size in enumerate([(N, inputs), shape, (N, outputs)])
    )
    bias, dw = rng(3).normal(size=outputs).astype(dtype), rng(4).normal(size=shape).astype(dtype)
    y, dx = np.full_like(dy, np.nan), np.full_like(x, np.nan)

    forward, input_gradient, weight_gradient = (
        plan(N, inputs, outputs, x.itemsize, n_threads)
        for plan in (kernels.DenseForward, kernels.DenseInput, kernels.DenseWeights)
    )
    forward.run(x, w, bias, y, None, None, scratch_of(forward.scratch, dtype))
    input_gradient.run(dy, w, dx, scratch_of(input_gradient.scratch, dtype))
    weight_gradient.run(x, dy, dw, scratch_of(weight_gradient.scratch, dtype))
    return (x, w, dy, bias), (y, dx, dw)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("N", ROWS)
@pytest.mark.parametrize("shape", SHAPES)
def test_threads_levels_and_numpy(shape, N, dtype):
    """Equal bits for any number of threads and all levels with FMA; every level is close to NumPy's float64."""
    fused = None
    for level in LEVELS:
        arrays, first = run(load("dense", level), shape, N, dtype, 1)
        for n_threads in (2, 3):
            for one, other in zip(first, run(load("dense", level), shape, N, dtype, n_threads)[1], strict=True):
                assert_array_equal(one, other)
        x, w, dy, bias = (array.astype(np.float64) for array in arrays)
        dw = rng(4).normal(size=shape).astype(dtype).astype(np.float64)
        tolerance = 50 * np.finfo(dtype).eps * max(*shape, N) ** 0.5
        for found, exact in zip(first, (x @ w + bias, dy @ w.T, dw + x.T @ dy), strict=True):
            assert_allclose(found, exact, rtol=tolerance, atol=tolerance)
        if level in FUSED:
            fused = fused or first
            for one, other in zip(fused, first, strict=True):
                assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_row_does_not_depend_on_its_batch(shape, dtype):
    (x, w, dy, bias), (y, dx, _) = run(dense, shape, 300, dtype, 2)
    scratch = np.empty(1_000_000, dtype)  # more than necessary
    for rows in (slice(0, 1), slice(7, 9), slice(20, 27), slice(100, 125)):
        some, gradient = np.full_like(y[rows], np.nan), np.full_like(dx[rows], np.nan)
        sizes = (len(some), *shape, x.itemsize, 1)
        dense.DenseForward(*sizes).run(x[rows], w, bias, some, None, None, scratch)
        dense.DenseInput(*sizes).run(dy[rows], w, gradient, scratch)
        assert_array_equal(some, y[rows])
        assert_array_equal(gradient, dx[rows])


@pytest.mark.parametrize("level", FUSED)
@pytest.mark.parametrize("dtype", DTYPES)
def test_sums_run_in_the_order_of_inputs(level, dtype):
    """Fused in the stated order: the start value, then one product at a time."""
    kernels = load("dense", level)
    (x, w, _, bias), (y, _, _) = run(kernels, (400, 16), 2, dtype, 1)
    by_parts = np.broadcast_to(bias, (2, 16)).copy()
    for k in range(400):
        one = np.ascontiguousarray(w[k : k + 1])
        column = np.ascontiguousarray(x[:, k : k + 1])
        # a product of one term onto what is there: dw += x^T dy with a sample for an input
        for row in range(2):
            total = by_parts[row : row + 1]
            plan = kernels.DenseWeights(1, 1, 16, x.itemsize, 1)
            plan.run(column[row : row + 1], one, total, scratch_of(plan.scratch, dtype))
    assert_array_equal(y, by_parts)


def test_activation_after():
    x, w = rng(0).normal(size=(5, 20)), rng(1).normal(size=(20, 9))
    y, activated, f = np.empty((5, 9)), np.empty((5, 9)), activations.capsule("tanh")
    plan = dense.DenseForward(5, 20, 9, 8, 2)
    scratch = np.empty(plan.scratch)
    plan.run(x, w, None, y, activated, f, scratch)
    assert_allclose(y, x @ w, rtol=1e-13, atol=1e-13)
    assert_allclose(activated, np.tanh(x @ w), rtol=1e-13, atol=1e-13)
    plan.run(x, w, None, y, y, f, scratch)
    assert_array_equal(y, activated)
