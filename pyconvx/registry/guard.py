"""The guard around other packages' objects: a breach of their contract becomes an error that names them.

A family's adapter is a subclass of `Guard` with the methods of the family's contract; `Registry.resolve` puts
it around foreign plugins. pyconvx's own objects have none, and are called directly. KeyboardInterrupt,
SystemExit and MemoryError pass as they are.
"""

import math
import reprlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, NoReturn, Self, TypeVar

import numpy as np
import numpy.typing as npt

from pyconvx._core.arrays import all_finite
from pyconvx._core.types import Array, Shape
from pyconvx._core.workspace import Workspace
from pyconvx.exceptions import DivergenceError, PluginError
from pyconvx.registry.lookup import Registry

__all__ = ["Guard", "at", "read_only", "unguarded"]

P = TypeVar("P")


def read_only(array: Array) -> Array:
    """Return a view that a plugin cannot write."""
    view = array.view()
    view.flags.writeable = False
    return view


@dataclass(frozen=True)
class Guard:
    """A plugin with a guard around it; a value that compares, hashes and pickles as the plugin does.

    Parameters
    ----------
    registry : Registry
        The plugin's family; messages name the plugin as it does.
    plugin : object
        The object itself.
    where : str, default=""
        Name of the layer or array that it works for, for messages.
    """

    registry: Registry[Any]
    plugin: Any
    where: str = ""

    def __str__(self) -> str:
        return self.registry.describe(self.plugin) + (self.where and f" at {self.where!r}")

    def at(self, where: str) -> Self:
        """Return the same guard with another place in its messages."""
        return replace(self, where=where)

    def call(self, what: str, function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        """Call a function of the plugin; an exception becomes a PluginError with the plugin's name."""
        try:
            return function(*arguments, **keywords)
        except (PluginError, DivergenceError, MemoryError):
            raise
        except Exception as error:
            self.failed(what, error)

    def failed(self, what: str, error: Exception) -> NoReturn:
        """Raise PluginError for what the plugin raised."""
        raise PluginError(f"{self}: {what} raised {type(error).__name__}: {error}") from error

    def refuse(self, what: str, result: object, expected: str) -> NoReturn:
        """Raise PluginError for a result that breaks the contract."""
        array = f"an array of shape {result.shape}, {result.dtype}" if isinstance(result, np.ndarray) else None
        raise PluginError(f"{self}: {what} returned {array or reprlib.repr(result)}, expected {expected}")

    def array(self, what: str, result: Any, shape: Shape, dtype: npt.DTypeLike) -> Array:
        """Return the result if it is an array of this shape and dtype, else refuse it."""
        if not (isinstance(result, np.ndarray) and result.shape == shape and result.dtype == dtype):
            self.refuse(what, result, f"an array of shape {shape}, {np.dtype(dtype)}")
        return result

    def kept(self, what: str, result: Any, shape: Shape, dtype: npt.DTypeLike, workspace: Workspace) -> Array:
        """Return such an array in the workspace: a plugin may return its input, or the same array each time."""
        array = self.array(what, result, shape, dtype)
        if array.flags.carray and workspace.owns(array):
            return array
        copy = workspace.take(shape, array.dtype)
        np.copyto(copy, array)
        return copy

    def number(self, what: str, result: Any) -> float:
        """Return the result as a float if it is a number, else refuse it."""
        if not isinstance(result, Real):
            self.refuse(what, result, "a number")
        return float(result)

    def finite(self, what: str, results: Array | float, *inputs: Array) -> None:
        """Raise DivergenceError if finite numbers went in and others came out."""
        if not _finite(results) and all(map(_finite, inputs)):
            raise DivergenceError(
                f"{self}: {what} made NaN or infinity of finite numbers. If that is right for numbers so large, "
                "try a smaller learning_rate_init or scaled inputs"
            )


def at(plugin: P, where: str) -> P:
    """Return the plugin with another place in its messages, or as it is if it has no guard."""
    return plugin.at(where) if isinstance(plugin, Guard) else plugin


def unguarded(plugin: Any) -> Any:
    """Return the object itself, without the guard that it may have."""
    return plugin.plugin if isinstance(plugin, Guard) else plugin


def _finite(values: Array | float) -> bool:
    """Return whether a number, or every number of an array, is finite."""
    if isinstance(values, np.ndarray):
        return all_finite(values)
    return math.isfinite(values)
