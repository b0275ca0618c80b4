"""Powers that overflow to infinity instead of an error."""

import math


def power(base: float, exponent: float) -> float:
    """``base ** exponent`` of a base that is not negative; infinity where no float is as large."""
    try:
        return float(float(base) ** float(exponent))
    except (OverflowError, ZeroDivisionError):
        return math.inf
