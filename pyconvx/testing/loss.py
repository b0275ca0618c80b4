"""The check of a loss: value, gradient, row weights, probabilities."""

from typing import Any

import numpy as np

from pyconvx.losses import registry
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

__all__ = ["check_loss"]

ROWS, CLASSES = 6, 4


def check_loss(plugin: object) -> None:
    """Check that a loss keeps its contract.

    Parameters
    ----------
    plugin : str or object
        A registered name, a loss, or a class of them that needs no arguments.

    Raises
    ------
    AssertionError
        For a wrong gradient, a gradient array not overwritten, NaN or infinity from logits up to
        10,000, a value that is not the weighted sum over rows, probabilities that are none,
        inputs written, an object that cannot be pickled.
    PluginError
        For a name that cannot be looked up.
    """
    loss, who = subject(registry, plugin)
    copy = check_pickle(loss, who)
    for dtype in DTYPES:
        logits: Array = _logits().astype(dtype)
        huge: Array = (1e4 * _logits()).astype(dtype)
        value, _ = _evaluate(loss, who, logits, _weights().astype(dtype))
        again, _ = _evaluate(copy, who, logits, _weights().astype(dtype))
        expect(value == again, who, f"a pickled copy gives {again!r}, the original {value!r}")
        _evaluate(loss, who, huge, np.ones(ROWS, dtype))
        _check_probabilities(loss, who, logits)
        _check_probabilities(loss, who, huge)
    _check_weights(loss, who)
    _check_gradient(loss, who)


def _logits() -> Array:
    return np.random.default_rng(0).standard_normal((ROWS, CLASSES))


def _weights() -> Array:
    return np.array([1.0, 0.5, 0.0, 2.0, 1.5, 1.0])


def _targets() -> Array:
    return np.arange(ROWS, dtype=np.int64) % CLASSES


def _evaluate(loss: Any, who: str, logits: Array, weights: Array) -> tuple[float, Array]:
    """Value and gradient; the gradient's array is NaN before, so what is not written shows."""
    gradient = np.full_like(logits, np.nan)

    def run(x: Array, y: Array, w: Array) -> Any:
        return loss.value_and_gradient(x, y, w, gradient, n_threads=1)

    what = f"value_and_gradient ({logits.dtype})"
    value = call_pure(who, what, run, logits, _targets(), weights)
    expect(isinstance(value, float), who, f"{what} returned {type(value).__name__}, not a float")
    expect(bool(np.isfinite(value)), who, f"{what} returned {value}")
    expect(bool(np.isfinite(gradient).all()), who, f"{what} left NaN or infinity in the gradient")
    return value, gradient


def _check_weights(loss: Any, who: str) -> None:
    """The value is the sum of weight times the row's own loss."""
    value, gradient = _evaluate(loss, who, _logits(), _weights())
    rows = [_evaluate(loss, who, _logits(), unit)[0] for unit in np.eye(ROWS)]
    expected = float(_weights() @ np.array(rows))
    close = bool(np.isclose(value, expected, rtol=1e-10, atol=1e-12))
    expect(close, who, f"the value {value:.12g} is not the weighted sum of the rows, {expected:.12g}")
    expect(not gradient[_weights() == 0].any(), who, "a row of weight 0 has a gradient")


def _check_gradient(loss: Any, who: str) -> None:
    def value(x: Array) -> float:
        found: float = loss.value_and_gradient(x, _targets(), _weights(), np.empty_like(x), n_threads=1)
        return found

    logits = _logits()
    _, gradient = _evaluate(loss, who, logits, _weights())
    check_gradient(who, "value_and_gradient", gradient, central_differences(value, logits), logits)


def _check_probabilities(loss: Any, who: str, logits: Array) -> None:
    found = call_pure(who, "probabilities", loss.probabilities, logits)
    check_array(who, "probabilities", found, logits)
    inside = bool(((found >= 0) & (found <= 1)).all())
    expect(inside, who, "probabilities are NaN or not from 0 to 1")
    one = np.allclose(call(who, "sum", found.sum, axis=1), 1.0, rtol=1e-5)
    expect(one, who, "probabilities of a row do not sum to 1")
