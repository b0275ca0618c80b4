"""The check of initializers: shapes, dtypes, equal arrays from equal seeds, filters that differ."""

from typing import Any

import numpy as np

from pyconvx.initializers import registry
from pyconvx.testing._common import Array, call, check_array, check_pickle, expect, subject

__all__ = ["check_initializer"]

# shape, fan_in, fan_out of a convolution and of two dense layers
CASES = (((3, 3, 4, 16), 36, 144), ((40, 12), 40, 12), ((5, 9), 5, 9))


def check_initializer(plugin: object, *, kernel: bool = True) -> None:
    """Check that an initializer keeps its contract.

    Parameters
    ----------
    plugin : str or object
        A registered name, an initializer, or a class of them that needs no arguments.
    kernel : bool, default=True
        Whether it is for kernels, whose filters must not all start equal. Pass False for an initializer
        of biases.

    Raises
    ------
    AssertionError
        For a wrong shape or dtype, NaN or infinity, other numbers from the same seed, the same array
        returned twice, filters that are all equal, an object that cannot be pickled.
    PluginError
        For a name that cannot be looked up.
    """
    initializer, who = subject(registry, plugin)
    copy = check_pickle(initializer, who)
    for shape, fan_in, fan_out in CASES:
        first = _draw(initializer, who, shape, fan_in, fan_out)
        check_array(who, f"shape {shape}", first, np.empty(shape))
        expect(bool(np.isfinite(first).all()), who, f"shape {shape} has NaN or infinite values")
        values = first.copy()
        for what, again in (("one seed gives", initializer), ("a pickled copy gives", copy)):
            second = _draw(again, who, shape, fan_in, fan_out)
            expect(np.array_equal(values, second), who, f"not reproducible: {what} other values")
            expect(not np.shares_memory(first, second), who, "hands the same array out twice")
        filters = values.reshape(-1, shape[-1])
        equal = bool((filters == filters[:, :1]).all())
        expect(not (kernel and equal), who, f"all filters of shape {shape} are equal: they would learn the same")


def _draw(initializer: Any, who: str, shape: tuple[int, ...], fan_in: int, fan_out: int) -> Array:
    """Draw an array with a new generator of the same seed."""
    rng = np.random.default_rng(0)
    array: Array = call(who, f"shape {shape}", initializer, shape, fan_in, fan_out, rng)
    return array
