"""Powers that become infinite instead of raising OverflowError."""

import math


def power(base: float, exponent: float) -> float:
    """Return ``base ** exponent`` for a base that is not negative; infinity if it is too large for a float."""
    try:
        return float(float(base) ** float(exponent))
    except (OverflowError, ZeroDivisionError):
        return math.inf
