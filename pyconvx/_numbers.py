"""Checks of single numbers that the families of plugins share."""

import math
from numbers import Real

import numpy as np

__all__ = ["check_real", "require_real"]

_PLAIN = (float, int)  # quicker to see than what else is a real number, and steps ask often


def check_real(
    *, above: float = -math.inf, least: float = -math.inf, below: float = math.inf, **values: object
) -> None:
    """Refuse values that are no finite real numbers, or out of range; the text names them.

    Raises
    ------
    TypeError
        For a bool, a text, and everything else that is no number.
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


def require_real(name: str, value: object) -> float:
    """A real number as a float, infinite where it has no room there; TypeError for anything else, bools too."""
    if type(value) not in _PLAIN and (isinstance(value, (bool, np.bool_)) or not isinstance(value, Real)):
        raise TypeError(f"{name} must be a number, got {value!r}")
    try:
        return float(value)  # type: ignore[arg-type]
    except OverflowError:  # an int of more than 308 digits
        return math.inf if value == abs(value) else -math.inf  # type: ignore[arg-type]
