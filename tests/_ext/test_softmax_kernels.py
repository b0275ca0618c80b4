"""The kernels of softmax and its logarithm: threads, levels, batches of none. Their numbers: test_vmath.py."""

import numpy as np
import pytest
from isa import check_threads_and_levels

from pyconvx._ext import softmax

DTYPES = [np.float32, np.float64]


def rng(seed=0):
    return np.random.default_rng(seed)


def run_softmax(prefix):
    def run(kernels, dtype, n_threads):
        results = []
        for shape in ((3001, 10), (301, 100), (5, 4099), (4, 1), (7, 16), (7, 33)):
            x, dy = (rng(seed).normal(size=shape, scale=3).astype(dtype) for seed in (0, 1))
            y, dx = np.full_like(x, np.nan), np.full_like(x, np.nan)
            getattr(kernels, prefix)(x, y, n_threads)
            getattr(kernels, f"{prefix}_backward")(y, dy, dx, n_threads)
            results += [y, dx]
        return results

    return run


@pytest.mark.parametrize("kernel", ["softmax", "log_softmax"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_threads_and_levels_agree(kernel, dtype):
    check_threads_and_levels("softmax", run_softmax(kernel), dtype)


def test_empty_arrays_are_left_alone():
    for dtype in DTYPES:
        table = np.empty((0, 3), dtype)
        softmax.softmax(table, table, 2)
        softmax.log_softmax_backward(table, table, table, 2)
