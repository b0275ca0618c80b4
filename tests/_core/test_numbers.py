"""Checks of single numbers: what counts as one, and ranges with and without their ends."""

import math
from fractions import Fraction

import numpy as np
import pytest

from pyconvx._core.numbers import check_real, require_real

KINDS = (int, float, np.int8, np.float32, np.float64, Fraction)


@pytest.mark.parametrize("kind", KINDS)
def test_ranges(kind):
    legal = [
        ({}, (-5, 0, 5)),
        ({"above": 1}, (2, 9)),
        ({"least": 1}, (1, 2)),
        ({"below": 3}, (2, -9)),
        ({"least": 1, "below": 3}, (1, 2)),
        ({"above": 0, "below": 2}, (1,)),
    ]
    for limits, values in legal:
        for value in values:
            check_real(x=kind(value), **limits)
            check_real(first=kind(values[0]), x=kind(value), **limits)
    illegal = [
        ({"above": 1}, (1, 0), "must be above 1,"),
        ({"least": 1}, (0, -1), "must be at least 1,"),
        ({"below": 3, "least": 0}, (3, 4, -1), "must be at least 0 and below 3,"),
        ({"below": 3}, (3, 4), "must be at least -inf and below 3,"),
    ]
    for limits, values, words in illegal:
        for value in values:
            with pytest.raises(ValueError, match=f"^x {words} got "):
                check_real(fine=2, x=kind(value), **limits)


@pytest.mark.parametrize(
    "value",
    [math.inf, -math.inf, math.nan, np.float32(np.inf), 10**400, -(10**400)],
    ids=lambda value: f"{str(value)[:5]}",
)
def test_what_is_not_finite(value):
    for limits in ({}, {"least": 0}, {"above": -1, "below": 9}):
        with pytest.raises(ValueError, match=r"^x must be finite, got "):
            check_real(x=value, **limits)
    assert str(require_real("x", value)) in ("inf", "-inf", "nan")
    assert math.isnan(require_real("x", value)) or (require_real("x", value) > 0) == (value > 0)


def test_the_largest_number():
    for value in (math.nextafter(math.inf, 0), int(math.nextafter(math.inf, 0))):
        check_real(x=value)
        check_real(x=-value)


@pytest.mark.parametrize("value", [True, np.True_, "1", None, 1j, [1], np.ones(1), b"1"])
def test_what_is_no_number(value):
    with pytest.raises(TypeError, match=r"^x must be a number, got "):
        require_real("x", value)
    with pytest.raises(TypeError, match=r"^x must be a number, got "):
        check_real(y=1.0, x=value)


def test_numbers_as_floats():
    for kind in KINDS:
        found = require_real("x", kind(3))
        assert (type(found), found) == (float, 3.0)
