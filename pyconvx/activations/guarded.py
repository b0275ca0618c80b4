"""The adapter around activations of other packages that compute on arrays; compiled functions run without it."""

from dataclasses import dataclass
from typing import Any

from pyconvx._core.types import FloatArray
from pyconvx.activations.contract import initializer_of
from pyconvx.registry.guard import Guard, read_only


@dataclass(frozen=True)
class GuardedActivation(Guard):
    """An activation of another package, its calls checked.

    Results lie in the plugin's memory, which it may write again: copy what has to last.
    """

    @property
    def initializer(self) -> str:
        """Name of the kernel initializer that suits it."""
        name: str = self.call("initializer", initializer_of, self.plugin)
        return name

    @property
    def capsule(self) -> Any:
        """The compiled functions; AttributeError for an activation without, as the plugin itself has it."""
        found = self.call("capsule", getattr, self.plugin, "capsule", None)
        if found is None:
            raise AttributeError("this activation has no capsule")
        return found

    def forward(self, x: FloatArray, /) -> FloatArray:
        """Return f(x); PluginError or DivergenceError if the plugin breaks its contract."""
        return self._checked("forward", x)

    def backward(self, dy: FloatArray, x: FloatArray, y: FloatArray, /) -> FloatArray:
        """Return dx; PluginError or DivergenceError if the plugin breaks its contract."""
        return self._checked("backward", dy, x, y)

    def _checked(self, method: str, *arrays: FloatArray) -> FloatArray:
        """Call a method; its result is like the first of the arrays."""
        found = self.call(method, getattr(self.plugin, method), *map(read_only, arrays))
        result = self.array(method, found, arrays[0].shape, arrays[0].dtype)
        self.finite(method, result, *arrays)
        return result
