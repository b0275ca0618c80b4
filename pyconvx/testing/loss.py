"""The check of a loss: value, gradient, row weights, predictions."""

from typing import Any

import numpy as np

from pyconvx.losses import registry
from pyconvx.losses.base import target_kind
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

ROWS, UNITS = 6, 4


def check_loss(plugin: object) -> None:
    """Check that a loss keeps its contract.

    Parameters
    ----------
    plugin : str or object
        A registered name, a loss, or a class of them that needs no arguments.

    Raises
    ------
    AssertionError
        For a wrong gradient, a gradient array not overwritten, NaN or infinity from outputs up to
        10,000, a value that is not the weighted sum over rows, class probabilities that are negative or
        do not sum to 1, inputs written, an object that cannot be pickled.
    PluginError
        For a name that cannot be looked up.
    """
    loss, who = subject(registry, plugin)
    copy = check_pickle(loss, who)
    for dtype in DTYPES:
        outputs: Array = _outputs().astype(dtype)
        huge: Array = (1e4 * _outputs()).astype(dtype)
        value, _ = _evaluate(loss, who, outputs, _weights().astype(dtype))
        again, _ = _evaluate(copy, who, outputs, _weights().astype(dtype))
        expect(value == again, who, f"a pickled copy gives {again!r}, the original {value!r}")
        _evaluate(loss, who, huge, np.ones(ROWS, dtype))
        _check_predictions(loss, who, outputs)
        _check_predictions(loss, who, huge)
    _check_weights(loss, who)
    _check_gradient(loss, who)


def _outputs() -> Array:
    return np.random.default_rng(0).standard_normal((ROWS, UNITS))


def _weights() -> Array:
    return np.array([1.0, 0.5, 0.0, 2.0, 1.5, 1.0])


def _targets(loss: Any, outputs: Array) -> Array:
    """Return targets of the loss's kind: classes, or numbers in the outputs' shape and dtype."""
    if target_kind(loss) == "indicators":
        return (np.random.default_rng(1).random(outputs.shape) < 0.5).astype(outputs.dtype)
    if target_kind(loss) == "classes":
        return np.arange(ROWS, dtype=np.int64) % UNITS
    return np.random.default_rng(1).standard_normal(outputs.shape).astype(outputs.dtype)


def _evaluate(loss: Any, who: str, outputs: Array, weights: Array) -> tuple[float, Array]:
    """Return value and gradient; the gradient's array is NaN before, so what is not written shows."""
    gradient = np.full_like(outputs, np.nan)

    def run(x: Array, y: Array, w: Array) -> Any:
        return loss.value_and_gradient(x, y, w, gradient, n_threads=1)

    what = f"value_and_gradient ({outputs.dtype})"
    value = call_pure(who, what, run, outputs, _targets(loss, outputs), weights)
    expect(isinstance(value, float), who, f"{what} returned {type(value).__name__}, not a float")
    expect(bool(np.isfinite(value)), who, f"{what} returned {value}")
    expect(bool(np.isfinite(gradient).all()), who, f"{what} left NaN or infinity in the gradient")
    return value, gradient


def _check_weights(loss: Any, who: str) -> None:
    """Check that the value is the sum of weight times the row's own loss."""
    value, gradient = _evaluate(loss, who, _outputs(), _weights())
    rows = [_evaluate(loss, who, _outputs(), unit)[0] for unit in np.eye(ROWS)]
    expected = float(_weights() @ np.array(rows))
    close = bool(np.isclose(value, expected, rtol=1e-10, atol=1e-12))
    expect(close, who, f"the value {value:.12g} is not the weighted sum of the rows, {expected:.12g}")
    expect(not gradient[_weights() == 0].any(), who, "a row of weight 0 has a gradient")


def _check_gradient(loss: Any, who: str) -> None:
    """Check that the gradient is that of central differences."""
    outputs = _outputs()

    def value(x: Array) -> float:
        result: float = loss.value_and_gradient(
            x, _targets(loss, outputs), _weights(), np.empty_like(x), n_threads=1
        )
        return result

    _, gradient = _evaluate(loss, who, outputs, _weights())
    check_gradient(who, "value_and_gradient", gradient, central_differences(value, outputs), outputs)


def _check_predictions(loss: Any, who: str, outputs: Array) -> None:
    """Check that predictions look like the outputs and are finite, and those of classes probabilities."""
    predictions = call_pure(who, "predictions", loss.predictions, outputs)
    check_array(who, "predictions", predictions, outputs)
    expect(bool(np.isfinite(predictions).all()), who, "predictions are NaN or infinite")
    if target_kind(loss) == "values":
        return
    inside = bool(((predictions >= 0) & (predictions <= 1)).all())
    expect(inside, who, "probabilities are not from 0 to 1")
    if target_kind(loss) == "indicators":
        return
    one = np.allclose(call(who, "sum", predictions.sum, axis=1), 1.0, rtol=1e-5)
    expect(one, who, "probabilities of a row do not sum to 1")
