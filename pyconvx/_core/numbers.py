"""Checks of single numbers and flags."""

import math
import operator
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np

__all__ = ["as_bool", "as_int", "as_tuples", "check_real", "require_real"]

_PLAIN = (float, int)  # a faster test than that for any real number; every step makes it


def check_real(
    *, above: float = -math.inf, least: float = -math.inf, below: float = math.inf, **values: object
) -> None:
    """Reject values that are not finite real numbers, or are out of range; the message names them.

    Raises
    ------
    TypeError
        For a bool, a string, and everything else that is not a number.
    ValueError
        For NaN, infinity, and numbers that are not above `above`, at least `least` and below `below`.
    """
    for name, value in values.items():
        number = require_real(name, value)
        if above < number < below and least <= number:
            continue
        if not math.isfinite(number):
            raise ValueError(f"{name} must be finite, got {value!r}")
        if number <= above:
            raise ValueError(f"{name} must be above {above:g}, got {value!r}")
        text = f"at least {least:g}" + (f" and below {below:g}" if below < math.inf else "")
        raise ValueError(f"{name} must be {text}, got {value!r}")


def as_tuples(value: Any) -> Any:
    """Return sequences of any kind as tuples, at any depth, and NumPy's numbers as Python's."""
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and not value.ndim):
        return value.item()
    if isinstance(value, np.ndarray):
        return as_tuples(value.tolist())
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return tuple(as_tuples(item) for item in value)
    return value


def require_real(name: str, value: object) -> float:
    """Return a real number as a float, infinite if too large for one; TypeError for anything else, bools too."""
    if type(value) not in _PLAIN and (isinstance(value, (bool, np.bool_)) or not isinstance(value, Real)):
        raise TypeError(f"{name} must be a number, got {value!r}")
    try:
        return float(value)  # type: ignore[arg-type]
    except OverflowError:  # an int of more than 308 digits
        return math.inf if value == abs(value) else -math.inf  # type: ignore[arg-type]


def as_int(name: str, value: object, minimum: int) -> int:
    """Return an integer of at least `minimum`; TypeError for bool, float and the like."""
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be an int, got {value!r}")
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{name} must be an int, got {value!r}") from None
    if number < minimum:
        raise ValueError(f"{name} must be >= {minimum}, got {number}")
    return number


def as_bool(name: str, value: object) -> bool:
    """Return a flag, also NumPy's; TypeError for a number or a string, which ``if`` would accept silently."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be a bool, got {value!r}")
    return bool(value)
