"""Python values as JSON and back: numbers, strings, sequences, dicts, arrays, and plugins by name.

JSON's own kinds represent themselves. Everything else is an object whose only key says what it is:

    {"tuple": [...]}                       {"dict": [[key, value], ...]}
    {"float": "inf"}                       also "-inf" and "nan"
    {"array": name}                        numbers, stored in the file as an array of that name
    {"strings": [dtype, shape, [...]]}     an array of text
    {"objects": [shape, [...]]}            an array of other values
    {"number": [dtype, value]}             a NumPy number
    {"random_state": [name, ...]}          a NumPy RandomState, with its key as an array
    {"plugin": {...}}                      a family, a name in its registry, and the arguments that make the object

A file never names a module or a class: the registry of this process decides what a name means.
"""

import dataclasses
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from pyconvx._core.types import Array
from pyconvx.exceptions import ModelFileError, PluginError
from pyconvx.registry.families import FAMILIES

_CODE = re.compile("[<>|=]?[fiubUS][0-9]{0,9}")
_LONGEST_NAME = 200  # characters of a plugin's name
_MOST_PADDING = 1 << 22  # bytes that arrays of text may hold beyond their characters, over a whole file


class Writer:
    """Turns values into JSON.

    Attributes
    ----------
    arrays : dict
        Arrays for the file, beside the document.
    plugins : dict
        Family and name of each plugin that is not built in, with its package and version.
    """

    def __init__(self) -> None:
        self.arrays: dict[str, Array] = {}
        self.plugins: dict[tuple[str, str], tuple[str, str]] = {}
        self._padding = 0

    def write(self, value: Any, where: str) -> Any:
        """Return the JSON of a value; TypeError with `where` if a file cannot hold it."""
        if value is None or isinstance(value, (bool, str)) or type(value) is int:
            return value
        if type(value) is float:
            return value if math.isfinite(value) else {"float": str(value)}
        if type(value) is list:
            return [self.write(item, f"{where}[{i}]") for i, item in enumerate(value)]
        if type(value) is tuple:
            return {"tuple": self.write(list(value), where)}
        if type(value) is dict:
            return {"dict": [[self.write(k, where), self.write(v, f"{where}[{k!r}]")] for k, v in value.items()]}
        if isinstance(value, range):
            return self.write(tuple(value), where)
        if isinstance(value, np.generic):
            return {"number": [value.dtype.str, self.write(value.item(), where)]}
        if isinstance(value, np.ndarray):
            return self._array(value, where)
        if isinstance(value, (np.dtype, type)) and np.dtype(value).kind in "fiu":
            return np.dtype(value).name
        if isinstance(value, np.random.RandomState):
            name, key, position, has_gauss, gauss = value.get_state(legacy=True)
            return {"random_state": [name, self._array(np.asarray(key), where), position, has_gauss, gauss]}
        return {"plugin": self._plugin(value, where)}

    def named(self, family: str, name: str) -> None:
        """Record a plugin that a parameter names."""
        row = FAMILIES[family].registry.claimed(name)
        if row.status != "built-in":
            self.plugins[family, name] = row.package, row.version

    def _array(self, value: Array, where: str) -> Any:
        if value.dtype.kind in "US":
            flat = np.ravel(value).astype(str).tolist()
            self._padding = _with_padding(self._padding, value.dtype, flat)
            return {"strings": [value.dtype.str, list(value.shape), flat]}
        if value.dtype.kind == "O":
            flat = [self.write(item, f"{where}[{i}]") for i, item in enumerate(value.ravel())]
            return {"objects": [list(value.shape), flat]}
        if value.dtype.kind not in "fiub" or value.dtype.itemsize > 8:
            raise TypeError(f"{where}: a model file holds no array of {value.dtype}")
        name = f"values.{len(self.arrays)}"
        self.arrays[name] = value
        return {"array": name}

    def _plugin(self, value: Any, where: str) -> Any:
        for name, family in FAMILIES.items():
            row, whole = family.registry.identify(value)
            if row is None:
                continue
            if row.status != "built-in":
                self.plugins[name, row.name] = row.package, row.version
            made = None if whole else self.write(_made_with(value, where), where)
            return {"family": name, "name": row.name, "made_with": made}
        raise TypeError(
            f"{where}={value!r}: a model file holds no code, and this is no registered plugin. Register its "
            "class, give a name instead, or use pickle"
        )


class Reader:
    """Turns JSON back into values; ModelFileError for JSON that `Writer` does not write.

    Parameters
    ----------
    arrays : dict
        The arrays of the file.
    plugins : sequence of (family, name, package, version)
        Plugins that the file needs; PluginError if one of them is missing.
    """

    def __init__(self, arrays: dict[str, Array], plugins: Any = ()) -> None:
        self._arrays = arrays
        self._read: set[str] = set()
        self._padding = 0
        self._packages = {}
        for family, name, package, version in plugins:
            self._packages[family, name] = f"{package} {version}"
            self.look_up(family, name)

    def look_up(self, family: Any, name: Any) -> Any:
        """Return a plugin by name; PluginError with the package that it came from."""
        known = isinstance(family, str) and family in FAMILIES
        if not (known and isinstance(name, str) and len(name) <= _LONGEST_NAME):
            raise ModelFileError(f"no plugin is called {str(name)[:80]!r} in {str(family)[:80]!r}")
        try:
            return FAMILIES[family].registry.get(name)
        except PluginError as error:
            package = self._packages.get((family, name), "a package that the file does not name")
            kind = FAMILIES[family].kind
            raise PluginError(f"the model needs {kind} {name!r} of {package}: {error}") from error

    def read(self, stored: Any) -> Any:
        """Return the value of some JSON."""
        if isinstance(stored, list):
            return [self.read(item) for item in stored]
        if not isinstance(stored, dict):
            return stored
        if len(stored) != 1:
            raise ModelFileError(f"a value must have one kind, got {', '.join(stored)[:80]!r}")
        ((kind, content),) = stored.items()
        if kind not in _KINDS:
            raise ModelFileError(f"unknown kind of value {kind[:80]!r}")
        try:
            return _KINDS[kind](self, content)
        except PluginError:
            raise
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
            raise ModelFileError(f"damaged {kind}: {str(error)[:500]}") from error

    def _tuple(self, content: Any) -> Any:
        return tuple(self.read(item) for item in _listed(content))

    def _dict(self, content: Any) -> Any:
        return {self.read(key): self.read(value) for key, value in _listed(content)}

    def _float(self, content: Any) -> Any:
        return {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}[content]

    def _array(self, content: Any) -> Any:
        if content in self._read:  # copies for many mentions of one array would fill the memory
            raise ValueError(f"array {content!r} stands for a second value")
        self._read.add(content)
        return np.array(self._arrays[content])

    def _strings(self, content: Any) -> Any:
        text, shape, values = _listed(content)
        kind = _dtype(text)
        if kind.kind not in "US" or not all(isinstance(value, str) for value in _listed(values)):
            raise TypeError(f"{text!r} for strings")
        self._padding = _with_padding(self._padding, kind, values)
        return np.array(values, kind).reshape(shape)

    def _objects(self, content: Any) -> Any:
        shape, values = _listed(content)
        array = np.empty(len(_listed(values)), object)
        for i, value in enumerate(values):
            array[i] = self.read(value)
        return array.reshape(shape)

    def _number(self, content: Any) -> Any:
        text, value = _listed(content)
        kind = _dtype(text)
        return kind.type(self.read(value))

    def _random_state(self, content: Any) -> Any:
        name, key, position, has_gauss, gauss = _listed(content)
        state = np.random.RandomState()
        state.set_state((name, self.read(key), position, has_gauss, gauss))
        return state

    def _plugin(self, content: Any) -> Any:
        plugin = self.look_up(content["family"], content["name"])
        if content["made_with"] is None:
            return plugin
        kind = plugin if isinstance(plugin, type) else type(plugin)
        return kind(**self.read(content["made_with"]))


_KINDS: dict[str, Callable[[Reader, Any], Any]] = {
    "tuple": Reader._tuple,
    "dict": Reader._dict,
    "float": Reader._float,
    "array": Reader._array,
    "strings": Reader._strings,
    "objects": Reader._objects,
    "number": Reader._number,
    "random_state": Reader._random_state,
    "plugin": Reader._plugin,
}


def _listed(content: Any) -> list[Any]:
    """Return a list as it is; TypeError for anything else."""
    if not isinstance(content, list):
        raise TypeError(f"a list was expected, got {type(content).__name__}")
    return content


def _dtype(text: Any) -> np.dtype[Any]:
    """Return the simple type that a code means; NumPy would evaluate other text as Python."""
    if not isinstance(text, str) or not _CODE.fullmatch(text):
        raise TypeError(f"{str(text)[:80]!r} for a type of numbers or text")
    return np.dtype(text)


def _with_padding(padding: int, kind: np.dtype[Any], values: list[str]) -> int:
    """Return the bytes that arrays of text hold beyond their characters, with one array added.

    Few bytes of a file could otherwise become very many in memory.
    """
    padding += max(0, kind.itemsize * len(values) - 4 * sum(map(len, values)))
    if padding > _MOST_PADDING:
        raise ValueError(f"{kind} is too wide for {len(values)} strings: make the array from a list of them")
    return padding


def _made_with(value: Any, where: str) -> dict[str, Any]:
    """Return the arguments that make an equal object."""
    if dataclasses.is_dataclass(value):
        return {item.name: getattr(value, item.name) for item in dataclasses.fields(value) if item.init}
    if hasattr(value, "get_params"):
        return dict(value.get_params(deep=False))
    if vars(value):
        raise TypeError(f"{where}={value!r}: to be saved, it must be a dataclass or have get_params")
    return {}
