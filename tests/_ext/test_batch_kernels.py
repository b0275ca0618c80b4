"""Batches out of rows, and the search for numbers that are not finite, over threads, levels and types."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from isa import FUSED, LEVELS, load

from pyconvx._ext import batches, random

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
    getattr(module, name)(x, np.random.default_rng(6).integers(0, rows, rows), out, 0.3, n_threads)
    return [out]


KERNELS = ("gather",)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", KERNELS)
def test_thread_count_does_not_change_bits(name, dtype):
    first = [a.tobytes() for a in run(batches, name, dtype, 1)]
    for n_threads in THREADS[1:]:
        assert [a.tobytes() for a in run(batches, name, dtype, n_threads)] == first, n_threads


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", KERNELS)
def test_levels(name, dtype):
    """v3 and v4 give the same bits; the baseline differs by rounding."""
    results = {one: run(load("batches", one), name, dtype, 2) for one in LEVELS}
    reference = results["baseline"]
    tolerance = 64 * np.finfo(dtype).eps
    for one, result in results.items():
        for got, want in zip(result, reference, strict=True):
            np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance, err_msg=one)
    vector = [[a.tobytes() for a in results[one]] for one in FUSED]
    assert all(result == vector[0] for result in vector)


def test_gather_converts_and_scales():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (20, 30), dtype=np.uint8)
    index = rng.integers(0, 20, 9)
    for dtype in DTYPES:
        out = np.full((9, 30), np.nan, dtype)
        batches.gather(images, index, out, 1 / 255, 1)
        np.testing.assert_array_equal(out, (images[index] * (1 / 255)).astype(dtype))
        assert out.max() <= 1
    doubles = rng.standard_normal((20, 30))
    out32 = np.empty((9, 30), np.float32)
    batches.gather(doubles, index, out32, 1.0, 2)
    np.testing.assert_array_equal(out32, doubles[index].astype(np.float32))
    floats = doubles.astype(np.float32)
    batches.gather(floats, index, out32, 1.0, 2)
    np.testing.assert_array_equal(out32, floats[index])


@pytest.mark.parametrize("n_threads", THREADS)
@pytest.mark.parametrize("n", [0, 1, 2, 15, 16, 17, 300])
def test_short_arrays_are_finite(n, n_threads):
    assert batches.all_finite(numbers(1, n, np.float64), n_threads) is True


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", DTYPES)
def test_all_finite(dtype, bad):
    values = np.full(999, np.finfo(dtype).max, dtype)
    assert batches.all_finite(values, 3) is True
    for place in (0, 17, 500, 998):
        wrong = values.copy()
        wrong[place] = bad
        assert batches.all_finite(wrong, 3) is False, place


def test_none_is_refused():
    with pytest.raises(TypeError):
        random.keys(0, 0, 0, None, None)
    with pytest.raises(TypeError):
        batches.all_finite(None, 1)
