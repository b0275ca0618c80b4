"""The adapter around architectures of other packages."""

from __future__ import annotations

from dataclasses import dataclass

from pyconvx._core.types import Shape
from pyconvx.layers import Layer, verify_layer
from pyconvx.registry.guard import Guard


@dataclass(frozen=True)
class GuardedArchitecture(Guard):
    """An architecture of another package, with checked layers."""

    @property
    def made_for(self) -> Shape:
        """The shape of a sample that the architecture is made for."""
        shape: Shape = self.plugin.made_for
        return shape

    def layers(self, input_shape: Shape) -> tuple[Layer, ...]:
        """Return the layers; PluginError unless they are some. A ValueError about the input passes through."""
        try:
            found = self.plugin.layers(input_shape)
        except ValueError:
            raise
        except Exception as error:
            self.failed("layers", error)
        if not isinstance(found, (list, tuple)):
            self.refuse("layers", found, "a sequence of layers")
        for layer in found:
            try:
                verify_layer(layer)
            except TypeError as error:
                self.failed("layers", error)
            if isinstance(layer, type):
                self.refuse("layers", layer, "layers, not their classes")
        return tuple(found)
