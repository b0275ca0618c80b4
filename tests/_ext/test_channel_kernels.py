"""The kernels over channels: factors and shifts, sums of products, copies of columns; threads and levels."""

import numpy as np
import pytest
from isa import LEVELS, check_threads_and_levels, load
from numpy.testing import assert_allclose, assert_array_equal

from pyconvx.ops import channels

DTYPES = [np.float32, np.float64]
SHAPES = [(1, 1, 1), (1, 30, 3), (2, 1, 17), (19, 12, 16), (33, 49, 33), (3, 300, 1), (7, 11, 300)]


def arrays(dtype, *shapes):
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def run(kernels, dtype, n_threads):
    results = []
    for N, P, C in SHAPES:
        x, dy, factors, shifts = arrays(dtype, (N, P, C), (N, P, C), (N, C), (N, C))
        plain, shifted, out = np.full_like(x, np.nan), np.full_like(x, np.nan), np.full_like(factors, np.nan)
        kernels.scale(x, factors, None, plain, n_threads)
        kernels.scale(x, factors, shifts, shifted, n_threads)
        kernels.products(x, dy, np.full(N * C, np.nan), out, n_threads)
        wide = np.full((N * P, C + 3), 7, dtype)
        kernels.copy(x.reshape(-1, C), 0, wide, 2, C, n_threads)
        results += [plain, shifted, out, wide]
    return results


@pytest.mark.parametrize("dtype", DTYPES)
def test_threads_and_levels_agree(dtype):
    check_threads_and_levels("channels", run, dtype)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_against_numpy(dtype, level):
    found = iter(run(load("channels", level), dtype, 2))
    for N, P, C in SHAPES:
        x, dy, factors, shifts = (a.astype(float) for a in arrays(dtype, (N, P, C), (N, P, C), (N, C), (N, C)))
        eps = 20 * np.finfo(dtype).eps
        assert_allclose(next(found), x * factors[:, None], rtol=eps)
        assert_allclose(next(found), x * factors[:, None] + shifts[:, None], rtol=eps, atol=eps)
        assert_allclose(next(found), np.einsum("npc,npc->nc", x, dy), rtol=eps, atol=20 * eps)
        wide = np.full((N * P, C + 3), 7.0)
        wide[:, 2 : C + 2] = x.reshape(-1, C)
        assert_array_equal(next(found), wide)


def test_read_only_inputs_and_no_samples():
    for dtype in DTYPES:
        x, factors = np.ones((0, 3, 2), dtype), np.ones((0, 2), dtype)
        x.flags.writeable = False
        channels.scale(x, factors, factors, np.empty((0, 3, 2), dtype), 2)
        channels.products(x, x, np.empty(0), factors, 2)
        channels.copy(x.reshape(0, 2), 0, np.empty((0, 5), dtype), 3, 2, 2)
        empty = np.ones((2, 3), dtype)
        channels.products(np.empty((2, 0, 3), dtype), np.empty((2, 0, 3), dtype), np.empty(6), empty, 1)
        assert_array_equal(empty, 0)  # a sum of nothing


def test_arrays_that_do_not_fit():
    x, factors, row = np.ones((2, 3, 4)), np.ones((2, 4)), np.ones((2, 5))
    with pytest.raises(ValueError, match=r"factors must have shape \(2, 4\), got \(2, 5\)"):
        channels.scale(x, row, None, x, 1)
    with pytest.raises(ValueError, match=r"shifts must have shape"):
        channels.scale(x, factors, row, x, 1)
    with pytest.raises(ValueError, match=r"y must have shape \(2, 3, 4\)"):
        channels.scale(x, factors, None, np.ones((2, 2, 4)), 1)
    with pytest.raises(ValueError, match="sums must have 8 numbers or more, got 7"):
        channels.products(x, x, np.ones(7), factors, 1)
    with pytest.raises(ValueError, match="out must have shape"):
        channels.products(x, x, np.ones(8), row, 1)
    with pytest.raises(ValueError, match="y must have 2 rows, got 3"):
        channels.copy(row, 0, np.ones((3, 5)), 0, 5, 1)
    for first, to, width in ((0, 0, 6), (1, 0, 5), (0, 2, 4), (-1, 0, 2), (0, -1, 2), (0, 0, -1)):
        with pytest.raises(ValueError, match="columns do not fit"):
            channels.copy(row, first, np.ones((2, 5)), to, width, 1)
