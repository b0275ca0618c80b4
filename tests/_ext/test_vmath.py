"""Accuracy of our exp, log, tanh, ... in ulp, at every level: the bounds that vmath.h states.

Each function is reached through a kernel that adds no rounding to it. The oracle computes in the next
longer type: float64 for float32, long double for float64.
"""

import math

import numpy as np
import pytest
from isa import FUSED, LEVELS, load

BOUNDS = {
    ("exp", 32): 0.9,
    ("expm1_neg", 32): 1.2,
    ("log", 32): 1.0,
    ("tanh", 32): 2.5,
    ("sigmoid", 32): 1.8,
    ("softplus", 32): 2.1,
    ("normal_cdf", 32): 4.1,
    ("exp", 64): 0.8,
    ("expm1_neg", 64): 1.2,
    ("log", 64): 1.4,
    ("tanh", 64): 2.6,
    ("sigmoid", 64): 1.7,
    ("softplus", 64): 1.9,
    ("normal_cdf", 64): 3.5,
}
FUNCTIONS = tuple(dict.fromkeys(name for name, _ in BOUNDS))
OVER_ACTIVATION = {"expm1_neg": "elu", "tanh": "tanh", "sigmoid": "sigmoid", "softplus": "softplus"}


def evaluate(level, function, x):
    """The function's own values, by way of the kernels of one level."""
    kernels, rows = load("activations", level), load("softmax", level)
    if function == "exp":
        # the gradient of log_softmax: 0 - e^y * (1 + 0)
        y = np.stack([np.zeros_like(x), x], axis=1)
        dy, dx = np.zeros_like(y), np.empty_like(y)
        dy[:, 0] = 1
        rows.log_softmax_backward(y, dy, dx, 1)
        return -dx[:, 1]
    if function == "log":
        return np.array([_log_of_count(rows, int(k), x.dtype) for k in x], dtype=x.dtype)
    if function == "normal_cdf":
        # x is a power of two, so the division takes its factor out exactly
        return _through(kernels, "gelu", x) / x
    return _through(kernels, OVER_ACTIVATION[function], x)


def _through(kernels, name, x):
    y = np.empty_like(x)
    kernels.forward(kernels.capsule(name), x, y, 1)
    return y


def _log_of_count(kernels, count, dtype):
    """ln(count) from a row of equal logits: every exponential is 1, their sum is exact."""
    row = np.zeros((1, count), dtype)
    out = np.empty_like(row)
    kernels.log_softmax(row, out, 1)
    return -out[0, 0]


def normal_cdf(x):
    """erfc(-x / sqrt(2)) / 2, with the rounding of its argument undone by the first derivative."""
    u = -x / np.sqrt(np.longdouble(2))
    near = u.astype(np.float64)
    value = np.array([math.erfc(v) for v in near], dtype=np.longdouble)
    slope = np.exp(-(near.astype(np.longdouble) ** 2)) * (2 / np.sqrt(np.longdouble(math.pi)))
    return (value - slope * (u - near)) / 2


def sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


ORACLES = {
    "exp": np.exp,
    "expm1_neg": np.expm1,
    "log": np.log,
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "softplus": lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),
    "normal_cdf": normal_cdf,
}
# where results are normal numbers in either type; the subnormal ones have their own test
LOWEST = {32: -87.0, 64: -708.0}


def points(function, bits):
    rng = np.random.default_rng(bits)
    low = LOWEST[bits]
    if function == "log":
        x = np.concatenate([np.arange(1, 2000), rng.integers(2000, 60000, 60)])
    elif function == "normal_cdf":
        x = np.concatenate([-(2.0 ** np.arange(-20, 5 if bits == 64 else 4)), 2.0 ** np.arange(-20, 3)])
    else:
        x = np.concatenate([rng.uniform(low, -low, 20000), rng.uniform(-6, 6, 60000), rng.normal(size=20000) ** 9])
    if function == "expm1_neg":
        x = -np.abs(x)
    return np.clip(x, low, None if function == "log" else -low).astype(f"float{bits}")


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("bits", [32, 64])
def test_error_in_ulp_is_within_the_stated_bound(level, function, bits):
    x = points(function, bits)
    longer = x.astype(np.float64 if bits == 32 and function != "normal_cdf" else np.longdouble)
    exact = ORACLES[function](longer)
    error = np.abs(evaluate(level, function, x) - exact)
    ulp = np.spacing(np.abs(exact).astype(x.dtype)).astype(np.float64)
    worst = int(np.argmax(error / ulp))
    assert error[worst] <= BOUNDS[function, bits] * ulp[worst], f"{function}({x[worst]!r}) at {level}"


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("function", [f for f in FUNCTIONS if f not in ("log", "normal_cdf")])
def test_levels_with_fma_give_equal_bits(function, bits):
    x = points(function, bits)
    results = {evaluate(level, function, x).tobytes() for level in FUSED}
    assert len(results) == min(1, len(FUSED))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("dtype", "start", "stop"), [(np.float32, -103.9, -87.4), (np.float64, -745.1, -708.5)])
def test_subnormal_results_are_rounded_not_flushed(level, dtype, start, stop):
    x = np.linspace(start, stop, 1001).astype(dtype)
    y = evaluate(level, "exp", x)
    longer = np.exp(x.astype(np.longdouble))
    smallest = np.finfo(dtype).smallest_subnormal
    assert np.all(np.abs(y - longer) <= 2 * smallest)
    assert np.all(y > 0)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_limits_of_exp(level, dtype):
    x = np.array([-np.inf, np.finfo(dtype).min, 0, np.finfo(dtype).max, np.inf, np.nan], dtype)
    np.testing.assert_array_equal(evaluate(level, "exp", x), [0, 0, 1, np.inf, np.inf, np.nan])


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["gelu", "tanh", "softplus", "mish"])
def test_a_value_does_not_depend_on_its_place_in_the_array(level, dtype, name):
    """Vector bodies and the ends of loops compute the same: otherwise a row's result depends on its batch."""
    x = np.random.default_rng(3).normal(size=70, scale=4).astype(dtype)
    kernels = load("activations", level)
    whole = _through(kernels, name, x)
    for n in range(1, 70):
        np.testing.assert_array_equal(_through(kernels, name, x[:n].copy()), whole[:n])
        np.testing.assert_array_equal(_through(kernels, name, x[n:].copy()), whole[n:])
