"""The check of solvers: they reduce a quadratic, in place, and have no memory but their slots."""

from typing import Any

import numpy as np
from sklearn.base import clone

from pyconvx.solvers import registry
from pyconvx.testing._common import DTYPES, Array, call, check_pickle, expect, subject

__all__ = ["check_solver"]

N, WEIGHTS = 60, 40
RATES = (0.1, 0.01, 0.001)


def check_solver(plugin: object) -> None:
    """Check that a solver keeps its contract.

    Parameters
    ----------
    plugin : str or object
        A registered name, a solver, or a class of them that needs no arguments.

    Raises
    ------
    AssertionError
        If it does not halve a quadratic in 300 steps at any of the learning rates 0.1, 0.01 and 0.001;
        writes its gradients, makes NaN, gives other numbers in a second run or on more threads, has memory
        outside its slots, or changes biases although gradients are 0; if scikit-learn's `clone` loses its
        parameters, or it cannot be pickled.
    PluginError
        For a name that cannot be looked up.
    """
    solver, who = subject(registry, plugin)
    copy = check_pickle(solver, who)
    cloned = call(who, "sklearn.base.clone", clone, solver)
    for dtype in DTYPES:
        first = _run(solver, who, dtype)
        for what, other, threads in (
            ("a second run gives", solver, 1),
            ("two threads give", solver, 2),
            ("a pickled copy gives", copy, 1),
            ("a clone gives", cloned, 1),
        ):
            expect(first == _run(other, who, dtype, n_threads=threads), who, f"{what} other numbers")
        changed = first != _run(solver, who, dtype, renew=True)
        expect(not changed, who, "remembers something outside its slots: a clone half way gives other numbers")
        _check_rest(solver, who, dtype)
    _check_quadratic(solver, who)


def _gradient(parameters: Array) -> Array:
    """Return the gradient of the quadratic sum(a * (p - c)^2) / 2, with a from 0.5 to 2 and c from -1 to 1."""
    n = parameters.size
    curvature, centre = np.linspace(0.5, 2, n), np.cos(np.arange(n))
    gradient: Array = curvature * (parameters - centre)
    return gradient.astype(parameters.dtype)


def _value(parameters: Array) -> float:
    """Return the value of the quadratic."""
    curvature = np.linspace(0.5, 2, parameters.size)
    return float((_gradient(parameters).astype(np.float64) ** 2 / curvature).sum() / 2)


def _step(
    solver: Any, who: str, parameters: Array, gradient: Array, slots: Array, rate: float, t: int,
    n_threads: int = 1,
) -> None:  # fmt: skip
    """Take one step; check that gradients stay as they are and results are finite."""
    before = gradient.copy()
    arguments = parameters, gradient, slots, rate, t
    what = f"step ({parameters.dtype})"
    call(who, what, solver.step, *arguments, n_weights=WEIGHTS, n_threads=n_threads)
    expect(before.tobytes() == gradient.tobytes(), who, "step writes its gradients")
    finite = np.isfinite(parameters).all() and np.isfinite(slots).all()
    expect(bool(finite), who, f"step {t} leaves NaN or infinity ({parameters.dtype})")


def _run(solver: Any, who: str, dtype: Any, *, n_threads: int = 1, renew: bool = False) -> bytes:
    """Return parameters and slots after six steps, as bytes; with `renew` a clone takes the last three."""
    parameters, slots = np.linspace(-2, 2, N).astype(dtype), np.zeros((solver.slots, N), dtype)
    before = parameters.copy()
    for t in range(1, 7):
        if renew and t == 4:
            solver = clone(solver)
        _step(solver, who, parameters, _gradient(parameters), slots, 0.01, t, n_threads)
    expect(not np.array_equal(before, parameters), who, "step leaves the parameters as they are")
    return parameters.tobytes() + slots.tobytes()


def _check_rest(solver: Any, who: str, dtype: Any) -> None:
    """Check that gradients of 0 leave everything as it is, but for kernels that may shrink by weight decay."""
    parameters, slots = np.linspace(1, 2, N).astype(dtype), np.zeros((solver.slots, N), dtype)
    before = parameters.copy()
    _step(solver, who, parameters, np.zeros_like(parameters), slots, 0.01, 1)
    still = np.array_equal(parameters[WEIGHTS:], before[WEIGHTS:])
    expect(still, who, "moves biases and norms where the gradient is 0: only the first n_weights may decay")
    shrunk = bool((np.abs(parameters) <= np.abs(before)).all())
    expect(shrunk, who, "makes weights grow where the gradient is 0")


def _check_quadratic(solver: Any, who: str) -> None:
    """Check that 300 steps at the best of three learning rates halve the quadratic."""
    ends = []
    for rate in RATES:
        parameters, slots = np.linspace(-2, 2, N), np.zeros((solver.slots, N))
        start = _value(parameters)
        for t in range(1, 301):
            _step(solver, who, parameters, _gradient(parameters), slots, rate, t)
            if _value(parameters) > 1e6 * start:
                break
        ends.append(_value(parameters) / start)
    text = ", ".join(f"{end:.3g} at rate {rate}" for end, rate in zip(ends, RATES, strict=True))
    expect(min(ends) < 0.5, who, f"does not reduce a quadratic: after 300 steps {text} of the start")
