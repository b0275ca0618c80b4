"""The check of activations: shapes, dtypes, gradients, pickling, unchanged inputs, large numbers."""

from functools import partial
from typing import Any

import numpy as np

from pyconvx.activations import registry
from pyconvx.activations.compiled import CapsuleActivation
from pyconvx.initializers import registry as initializers
from pyconvx.testing._common import (
    DTYPES,
    Array,
    call,
    call_pure,
    central_differences,
    check_array,
    check_gradient,
    check_pickle,
    expect,
    subject,
)

__all__ = ["check_activation"]

SHAPES = ((7,), (3, 5), (2, 3, 4, 5), (0, 4))


def check_activation(plugin: object) -> None:
    """Check that an activation keeps its contract.

    Parameters
    ----------
    plugin : str or object
        A registered name, an activation, or a class of them that needs no arguments.

    Raises
    ------
    AssertionError
        For a wrong gradient (float64, central differences at random points), a wrong shape or dtype,
        NaN or infinity from numbers up to 50, a number from NaN, rows of a batch that affect one another,
        inputs that are written or returned, an object that cannot be pickled, an initializer that does
        not exist; for a capsule that computes something else, or has flags that are wrong.
    PluginError
        For a name that cannot be looked up.
    """
    activation, who = subject(registry, plugin)
    name = getattr(activation, "initializer", "he_uniform")
    expect(isinstance(name, str) and name in initializers.names(), who, f"initializer {name!r} is unknown")
    copy = check_pickle(activation, who)
    for dtype in DTYPES:
        for shape in SHAPES:
            _check_arrays(activation, who, _points(shape).astype(dtype))
    _check_limits(activation, who)
    _check_rows(activation, who)
    _check_backward(activation, who)
    if getattr(activation, "capsule", None) is not None:
        _check_capsule(activation, f"{who} (capsule)")
    x = _points((3, 5))
    same = np.array_equal(call(who, "forward of a pickled copy", copy.forward, x), activation.forward(x))
    expect(same, who, "a pickled copy gives other values")


def _points(shape: tuple[int, ...]) -> Array:
    """Return random numbers from -4 to 4, none of them exactly at a kink."""
    return np.random.default_rng(0).uniform(-4, 4, shape)


def _check_arrays(activation: Any, who: str, x: Array) -> None:
    """Check shapes, dtypes, memory and agreement with float64."""
    what = f"forward of {x.dtype} {x.shape}"
    y = call_pure(who, what, activation.forward, x)
    check_array(who, what, y, x)
    exact = call(who, "forward of float64", activation.forward, x.astype(np.float64))
    close = np.allclose(y, exact, rtol=1e-4, atol=1e-5)
    expect(close, who, f"{what} differs from float64 by more than rounding")
    what = f"backward of {x.dtype} {x.shape}"
    dx = call_pure(who, what, activation.backward, np.ones_like(x), x, y)
    check_array(who, what, dx, x)


def _check_limits(activation: Any, who: str) -> None:
    """Check that moderate numbers give finite results, large ones no NaN, and NaN gives NaN."""
    for dtype in DTYPES:
        for row, bound in ((np.linspace(-50, 50, 101, dtype=dtype), 50), (np.array([-1e4, 1e4], dtype), 1e4)):
            with np.errstate(all="ignore"):
                y = call(who, "forward", activation.forward, row)
                dx = call(who, "backward", activation.backward, np.ones_like(row), row, y)
            test = np.isfinite if bound == 50 else np.vectorize(lambda v: not np.isnan(v), otypes=[bool])
            for what, values in (("forward", y), ("backward", dx)):
                bad = row[~test(values)]
                expect(not bad.size, who, f"{what} is NaN or infinite at x = {bad[:3]} ({row.dtype})")
        hidden = call(who, "forward of NaN", activation.forward, np.full(4, np.nan, dtype))
        expect(bool(np.isnan(hidden).all()), who, "forward turns NaN into a number: divergence would be hidden")


def _check_rows(activation: Any, who: str) -> None:
    """Check that the result of a row depends on no other row: predictions would depend on their batch."""
    x = _points((6, 10))
    whole, part = activation.forward(x), activation.forward(x[2:3].copy())
    expect(np.allclose(whole[2:3], part, rtol=1e-12, atol=1e-12), who, "forward mixes the rows of a batch")


def _projection(activation: Any, dy: Array, x: Array) -> float:
    """Return sum(dy * forward(x)), whose gradient is dx."""
    return float((dy * activation.forward(x)).sum())


def _check_backward(activation: Any, who: str) -> None:
    """Compare each element of dx with central differences of sum(dy * forward(x))."""
    x = _points((4, 8))
    dy = np.random.default_rng(1).standard_normal(x.shape)
    dx = call(who, "backward", activation.backward, dy, x, activation.forward(x))
    check_gradient(who, "backward", dx, central_differences(partial(_projection, activation, dy), x), x)


def _check_capsule(activation: Any, who: str) -> None:
    """Compare the compiled functions, which the fused kernels call, with the methods and the flags."""
    compiled = CapsuleActivation(activation)
    for dtype in DTYPES:
        x = np.linspace(-30, 30, 601, dtype=dtype)
        y, rounding = compiled.forward(x), 64 * np.finfo(dtype).eps
        same = np.allclose(y, activation.forward(x), rtol=rounding, atol=rounding)
        expect(same, who, f"differs from forward ({x.dtype})")
        falls = bool((np.diff(y) < -rounding * np.abs(y[1:])).any())
        expect(not (compiled.non_decreasing and falls), who, "decreases, but its flags say it does not")
    _check_backward(compiled, who)
