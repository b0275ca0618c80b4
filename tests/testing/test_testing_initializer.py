"""check_initializer on initializers that are each wrong in one way."""

from typing import Any

import numpy as np
import pytest

from pyconvx import testing

Array = Any


class Normal:
    """A correct initializer."""

    def __call__(self, shape: Any, fan_in: int, fan_out: int, rng: np.random.Generator) -> Array:
        return rng.standard_normal(shape)


class InitializerShape(Normal):
    def __call__(self, shape, fan_in, fan_out, rng):
        return rng.standard_normal((fan_in, shape[-1]))


class InitializerDtype(Normal):
    def __call__(self, shape, fan_in, fan_out, rng):
        return rng.standard_normal(shape).astype(np.float32)


class InitializerNaN(Normal):
    def __call__(self, shape, fan_in, fan_out, rng):
        values = super().__call__(shape, fan_in, fan_out, rng)
        values[-1, ..., 0] = np.nan
        return values


class OwnSeed(Normal):
    def __call__(self, shape, fan_in, fan_out, rng):
        return np.random.default_rng().standard_normal(shape)


class SameArray(Normal):
    def __init__(self):
        self.made = {}

    def __call__(self, shape, fan_in, fan_out, rng):
        return self.made.setdefault(shape, super().__call__(shape, fan_in, fan_out, rng))


class AllEqual(Normal):
    def __call__(self, shape, fan_in, fan_out, rng):
        return np.broadcast_to(rng.standard_normal((*shape[:-1], 1)), shape).copy()


class InitializerLambda(Normal):
    def __init__(self):
        self.function = lambda x: x


class InitializerParameters(Normal):
    def __call__(self, shape, rng):
        return rng.standard_normal(shape)


def test_right_initializer():
    testing.check_initializer(Normal())


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (InitializerShape, r"returned shape \(36, 16\), expected \(3, 3, 4, 16\)"),
        (InitializerDtype, "returned dtype float32, expected float64"),
        (InitializerNaN, "NaN or infinite"),
        (OwnSeed, "not reproducible: one seed gives other values"),
        (SameArray, "hands the same array out twice"),
        (AllEqual, "all filters .* are equal"),
        (InitializerLambda, "cannot be pickled"),
        (
            InitializerParameters,
            r"has __call__\(shape, rng\), expected __call__\(shape, fan_in, fan_out, rng\)",
        ),
    ],
)
def test_wrong_initializer(wrong, reason):
    with pytest.raises(AssertionError, match=f"initializer .*{wrong.__name__}.*: .*{reason}"):
        testing.check_initializer(wrong())
