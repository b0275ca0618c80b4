"""Calls of other packages' objects: what one raises, or returns against its contract, becomes an error of ours.

pyconvx's own objects are called directly. KeyboardInterrupt, SystemExit and MemoryError pass as they are.
"""

import math
import reprlib
from collections.abc import Callable
from numbers import Real
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from pyconvx._core.arrays import all_finite
from pyconvx._core.types import Array, Shape
from pyconvx._core.workspace import Workspace
from pyconvx.exceptions import DivergenceError, PluginError
from pyconvx.registry.claims import OWN
from pyconvx.registry.lookup import Registry

__all__ = ["Guard", "is_foreign", "read_only"]


def is_foreign(plugin: object) -> bool:
    """Whether an object's class is not pyconvx's own."""
    return type(plugin).__module__.partition(".")[0] != OWN


def read_only(array: Array) -> Array:
    """A view that a plugin cannot write."""
    view = array.view()
    view.flags.writeable = False
    return view


class Guard:
    """One plugin under guard.

    Parameters
    ----------
    registry : Registry
        The plugin's family; messages name the plugin as it does.
    plugin : object
    where : str, default=""
        Name of the layer that it works in.
    """

    def __init__(self, registry: Registry[Any], plugin: object, where: str = "") -> None:
        self.registry, self.plugin, self.where = registry, plugin, where

    def __str__(self) -> str:
        return self.registry.describe(self.plugin) + (self.where and f" at {self.where!r}")

    def call(self, what: str, function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        """What the function returns; an error with the plugin's name for what it raises."""
        try:
            return function(*arguments, **keywords)
        except (PluginError, DivergenceError, MemoryError):
            raise
        except Exception as error:
            self.failed(what, error)

    def failed(self, what: str, error: Exception) -> NoReturn:
        """Raise for what the plugin raised."""
        raise PluginError(f"{self}: {what} raised {type(error).__name__}: {error}") from error

    def refuse(self, what: str, found: object, expected: str) -> NoReturn:
        """Raise for a result that breaks the contract."""
        array = f"an array of shape {found.shape}, {found.dtype}" if isinstance(found, np.ndarray) else None
        raise PluginError(f"{self}: {what} returned {array or reprlib.repr(found)}, expected {expected}")

    def array(self, what: str, found: Any, shape: Shape, dtype: npt.DTypeLike) -> Array:
        """The result, which has to be an array of this shape and dtype."""
        if not (isinstance(found, np.ndarray) and found.shape == shape and found.dtype == dtype):
            self.refuse(what, found, f"an array of shape {shape}, {np.dtype(dtype)}")
        return found

    def kept(self, what: str, found: Any, shape: Shape, dtype: npt.DTypeLike, workspace: Workspace) -> Array:
        """The same in memory of ours: a plugin may hand out its input, or one array again and again."""
        result = self.array(what, found, shape, dtype)
        if result.flags.carray and workspace.owns(result):
            return result
        copy = workspace.take(shape, result.dtype)
        np.copyto(copy, result)
        return copy

    def number(self, what: str, found: Any) -> float:
        """The result, which has to be a number."""
        if not isinstance(found, Real):
            self.refuse(what, found, "a number")
        return float(found)

    def finite(self, what: str, results: Array | float, *inputs: Array) -> None:
        """Raise where finite numbers went in and others came out."""
        if not _finite(results) and all(map(_finite, inputs)):
            raise DivergenceError(
                f"{self}: {what} made NaN or infinity of finite numbers. If that is right for numbers so large, "
                "try a smaller learning_rate_init or scaled inputs"
            )


def _finite(values: Array | float) -> bool:
    if isinstance(values, np.ndarray):
        return all_finite(values)
    return math.isfinite(values)
