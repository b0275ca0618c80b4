"""Counter-based random numbers against Python's whole numbers; dropout over threads and levels."""

import numpy as np
import pytest
from isa import FUSED, LEVELS, load

from pyconvx._ext import random

DTYPES = (np.float32, np.float64)
MASK = (1 << 64) - 1


def numbers(seed: int, shape: tuple[int, ...], dtype: type) -> np.ndarray:
    """Random numbers that the kernels may not write."""
    values = np.random.default_rng(seed).standard_normal(shape).astype(dtype)
    values.flags.writeable = False
    return values


def mix(z: int) -> int:
    """splitmix64's finaliser in Python's whole numbers."""
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def reference_key(*parts: int) -> int:
    state = 0
    for part in parts:
        state = mix(((state ^ part) + 0x9E3779B97F4A7C15) & MASK)
    return state


def test_finaliser_is_splitmix64():
    """The first outputs of splitmix64 from state 0, as its authors' program prints them."""
    known = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert [mix(((i + 1) * 0x9E3779B97F4A7C15) & MASK) for i in range(3)] == known


@pytest.mark.parametrize("parts", [(0, 0, 0, 0), (1, 2, 3, 4), (MASK, 1, 10**12, 59_999), (42, 0, 1, 0)])
def test_key_known_answers(parts):
    assert random.key(*parts) == reference_key(*parts)
    out = np.empty(3, np.uint64)
    samples = np.array([parts[3], 0, 7], np.int64)
    random.keys(*parts[:3], samples, out)
    assert out.tolist() == [reference_key(*parts[:3], int(s)) for s in samples]


def test_keys_differ_in_every_part():
    found = {random.key(a, b, c, d) for a in range(6) for b in range(6) for c in range(6) for d in range(6)}
    assert len(found) == 6**4


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", DTYPES)
def test_dropout_known_answers(dtype, rate):
    x = numbers(1, (4, 25), dtype)
    keys = np.array([reference_key(9, 8, 7, s) for s in range(4)], np.uint64)
    y = np.full(x.shape, np.nan, dtype)
    random.dropout(x, keys, rate, y, 1)
    uniform = [
        [(mix((int(k) + (j + 1) * 0x9E3779B97F4A7C15) & MASK) >> 11) / 2**53 for j in range(25)] for k in keys
    ]
    expected = np.where(np.array(uniform) >= rate, x * dtype(1 / (1 - rate)), 0)
    np.testing.assert_array_equal(y, expected)
    dx = np.full(x.shape, np.nan, dtype)
    random.dropout_backward(x, keys, rate, dx, 3)
    np.testing.assert_array_equal(dx, y)


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5, 0.75])
def test_dropout_rate_and_scale(rate):
    ones, keys = np.ones((200, 500)), np.empty(200, np.uint64)
    random.keys(0, 1, 2, np.arange(200), keys)
    y = np.empty_like(ones)
    random.dropout(ones, keys, rate, y, 1)
    assert set(np.unique(y)) <= {0.0, 1 / (1 - rate)}
    deviation = np.sqrt(rate * (1 - rate) / y.size)
    assert abs((y == 0).mean() - rate) <= 4 * deviation
    # neighbours in a row and in a column drop out independently of one another
    dropped = (y == 0) - rate
    for product in (dropped[:, 1:] * dropped[:, :-1], dropped[1:] * dropped[:-1]):
        assert abs(product.mean()) <= 4 * rate * (1 - rate) / np.sqrt(product.size)


def test_dropout_follows_the_sample_not_its_place_in_the_batch():
    x, order = numbers(1, (30, 20), np.float64), np.random.default_rng(0).permutation(30)
    results = []
    for samples in (np.arange(30), order):
        keys, y = np.empty(30, np.uint64), np.empty((30, 20))
        random.keys(5, 0, 1, samples.astype(np.int64), keys)
        random.dropout(x[samples], keys, 0.5, y, 2)
        results.append(y)
    np.testing.assert_array_equal(results[0][order], results[1])


def test_dropout_in_place():
    x, keys = numbers(1, (6, 9), np.float32), np.arange(6, dtype=np.uint64)
    y = np.empty_like(x)
    random.dropout(x, keys, 0.5, y, 1)
    own = x.copy()
    random.dropout(own, keys, 0.5, own, 2)
    np.testing.assert_array_equal(own, y)


@pytest.mark.parametrize("name", ["dropout", "dropout_backward"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_threads_and_levels_do_not_change_bits(name, dtype):
    x, keys = numbers(1, (37, 11), dtype), np.empty(37, np.uint64)
    results = {}
    for level in LEVELS:
        module = load("random", level)
        module.keys(1, 2, 3, np.arange(37), keys)
        for n_threads in (1, 2, 3, 5):
            out = np.full(x.shape, np.nan, dtype)
            getattr(module, name)(x, keys, 0.4, out, n_threads)
            results[level, n_threads] = out.tobytes()
    assert len(results) == 4 * len(LEVELS)
    assert FUSED == () or len(set(results.values())) == 1
