"""The contract of architectures, their registry, and what the built-in ones share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

from sklearn.base import BaseEstimator

from pyconvx._core.types import Shape
from pyconvx.architectures.guarded import GuardedArchitecture
from pyconvx.layers import Layer
from pyconvx.layers.sequence import output_shapes
from pyconvx.registry import Registry
from pyconvx.registry.contracts import require

__all__ = ["Architecture", "BuiltIn", "registry"]

_KINDS = {2: "signals (L, C)", 3: "images (H, W, C)"}


class Architecture(Protocol):
    """A stack of layers for any input that fits; usually a dataclass that subclasses scikit-learn's BaseEstimator.

    Its parameters say how deep and wide the stack is. ``made_for`` is the shape of one sample, (H, W, C) or
    (L, C), of its source or its usual use.
    """

    made_for: ClassVar[Shape]

    def layers(self, input_shape: Shape) -> Sequence[Layer]:
        """Return everything before the output layer; raise ValueError if the input does not fit."""
        ...


def _verify(plugin: Any) -> None:
    """Raise TypeError unless the plugin gives layers for a shape and says for which it is made."""
    require(plugin, Architecture.layers)
    shape: Any = getattr(plugin, "made_for", None)
    sizes = isinstance(shape, tuple) and all(type(size) is int and size > 0 for size in shape)
    if not (sizes and len(shape) in _KINDS):
        raise TypeError(f"{plugin!r} has made_for={shape!r}, expected the shape (H, W, C) or (L, C) of a sample")


registry: Registry[Architecture] = Registry("pyconvx.architectures", _verify, GuardedArchitecture)


class BuiltIn(BaseEstimator):
    """What the built-in architectures share: they say which input they are made for when one does not fit."""

    made_for: ClassVar[Shape]

    def _stack(self, input_shape: Shape) -> Sequence[Layer]:
        """Return the layers; `layers` checks whether they fit."""
        raise NotImplementedError

    def layers(self, input_shape: Shape) -> tuple[Layer, ...]:
        """Return everything before the output layer.

        Parameters
        ----------
        input_shape : tuple of int
            Shape of one sample, (H, W, C) or (L, C).

        Raises
        ------
        ValueError
            If the input has another number of axes or is too small, or a parameter is illegal.
        """
        name, axes = type(self).__name__, len(self.made_for) - 1
        if len(input_shape) != axes + 1:
            raise ValueError(
                f"{name} is for {_KINDS[axes + 1]}, got samples of shape {input_shape}: give the estimator "
                f"spatial_dims={axes}"
            )
        layers = tuple(self._stack(input_shape))
        try:
            output_shapes(layers, input_shape)
        except ValueError as error:
            raise ValueError(
                f"{name} is made for samples of shape {self.made_for}, got {input_shape}: {error}"
            ) from error
        return layers
