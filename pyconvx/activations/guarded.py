"""The adapter around activations of other packages; only their array methods run in it, not their capsules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyconvx._core.types import FloatArray
from pyconvx.activations.contract import initializer_of
from pyconvx.registry.guard import Guard, read_only


@dataclass(frozen=True)
class GuardedActivation(Guard):
    """An activation of another package, with checked calls.

    A result is the plugin's own memory, which it may overwrite at the next call: copy it if it has to last.
    """

    @property
    def initializer(self) -> str:
        """Name of the kernel initializer that suits it."""
        name: str = self.call("initializer", initializer_of, self.plugin)
        return name

    @property
    def capsule(self) -> Any:
        """PyCapsule of the plugin; AttributeError if it has none, so that ``hasattr`` tells."""
        capsule = self.call("capsule", getattr, self.plugin, "capsule", None)
        if capsule is None:
            raise AttributeError("this activation has no capsule")
        return capsule

    def forward(self, x: FloatArray, /) -> FloatArray:
        """Return f(x); PluginError or DivergenceError if the plugin breaks its contract."""
        return self._checked("forward", x)

    def backward(self, dy: FloatArray, x: FloatArray, y: FloatArray, /) -> FloatArray:
        """Return dx; PluginError or DivergenceError if the plugin breaks its contract."""
        return self._checked("backward", dy, x, y)

    def _checked(self, method: str, *arrays: FloatArray) -> FloatArray:
        """Call a method; its result is like the first of the arrays."""
        result = self.call(method, getattr(self.plugin, method), *map(read_only, arrays))
        result = self.array(method, result, arrays[0].shape, arrays[0].dtype)
        self.finite(method, result, *arrays)
        return result
