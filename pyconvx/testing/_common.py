"""Helpers of all checks: the plugin and its name for messages, its calls, central differences."""

import pickle
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from pyconvx.registry import Registry

Array = npt.NDArray[Any]
DTYPES = (np.float32, np.float64)
STEP = 1e-5  # of central differences in float64: their error is about 1e-10

P = TypeVar("P")


def expect(ok: bool, who: str, reason: str) -> None:
    """Raise AssertionError with the plugin and the reason, unless ok."""
    if not ok:
        raise AssertionError(f"{who}: {reason}")


def subject(registry: Registry[P], plugin: object) -> tuple[P, str]:
    """Return the plugin that a name or an object means, and what messages call it."""
    who = f"{registry.kind} {plugin!r}"
    if isinstance(plugin, str):
        return registry.get(plugin), who
    try:
        return registry.verified(plugin), who
    except Exception as error:
        raise AssertionError(f"{who}: breaks its contract: {error}") from error


def call(who: str, what: str, function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    """Call the plugin; an exception becomes an AssertionError with the plugin's name."""
    try:
        return function(*arguments, **keywords)
    except Exception as error:
        raise AssertionError(f"{who}: {what} raised {type(error).__name__}: {error}") from error


def call_pure(who: str, what: str, function: Callable[..., Any], *arrays: Array) -> Any:
    """Call the plugin with arrays that it must not write: first with writable ones, then with read-only ones."""
    copies = [array.copy() for array in arrays]
    result = call(who, what, function, *copies)
    for index, (array, copy) in enumerate(zip(arrays, copies, strict=True)):
        same = array.tobytes() == copy.tobytes()
        expect(same, who, f"{what} writes its input (argument {index + 1})")
    if isinstance(result, np.ndarray):
        shared = any(np.shares_memory(result, copy) for copy in copies)
        expect(not shared, who, f"{what} returned its input's memory, which the network reuses")
    for copy in copies:
        copy.flags.writeable = False
    call(who, f"{what} on read-only arrays", function, *copies)
    return result


def check_array(who: str, what: str, result: Any, like: Array) -> None:
    """Check that a result is an array with the shape and dtype of another."""
    expect(isinstance(result, np.ndarray), who, f"{what} returned {type(result).__name__}, not an ndarray")
    expect(result.shape == like.shape, who, f"{what} returned shape {result.shape}, expected {like.shape}")
    expect(result.dtype == like.dtype, who, f"{what} returned dtype {result.dtype}, expected {like.dtype}")


def check_pickle(plugin: P, who: str) -> P:
    """Return a pickled and unpickled copy, as saved models and grid searches make it."""
    try:
        copy: P = pickle.loads(pickle.dumps(plugin))
    except Exception as error:
        raise AssertionError(
            f"{who}: cannot be pickled ({type(error).__name__}: {error}); define it at the top of a module"
        ) from error
    return copy


def central_differences(function: Callable[[Array], float], x: Array) -> Array:
    """Return the gradient of a function of an array, in float64, element by element."""
    gradient = np.empty(x.shape)
    for index in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[index] += STEP
        down[index] -= STEP
        gradient[index] = (function(up) - function(down)) / (2 * STEP)
    return gradient


def check_gradient(who: str, what: str, gradient: Array, expected: Array, x: Array) -> None:
    """Compare a gradient with central differences; the message shows the worst element."""
    error = np.abs(gradient - expected) - 1e-6 * np.abs(expected)
    worst = np.unravel_index(int(np.argmax(np.where(np.isnan(error), np.inf, error))), x.shape)
    expect(
        bool(error[worst] <= 1e-6),
        who,
        f"{what} gives a wrong gradient: {gradient[worst]:.9g} at x = {x[worst]:.9g}, "
        f"central differences give {expected[worst]:.9g}",
    )
