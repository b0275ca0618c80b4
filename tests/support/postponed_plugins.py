"""One plugin of each family in a module that postpones its annotations: the types of fields are strings.

They are those of `good_plugins` under the same names, with fields; the loss is the built-in one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator

from pyconvx.initializers import Constant
from pyconvx.layers import Activation, Conv2D, GlobalAvgPool2D, Layer, ParameterSpec
from pyconvx.losses import CrossEntropy

if TYPE_CHECKING:
    import numpy.typing as npt
    from elsewhere import Missing

    from pyconvx.layers import Context
    from pyconvx.schedules import Progress

    Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Tanh:
    """An activation: ``tanh(rate * x)``."""

    rate: float = 1.0

    def forward(self, x: Array) -> Array:
        return np.tanh(self.rate * x)

    def backward(self, dy: Array, x: Array, y: Array) -> Array:
        return self.rate * dy * (1 - y * y)


@dataclass(frozen=True)
class Small:
    """An architecture."""

    made_for: ClassVar[tuple[int, ...]] = (6, 6, 1)

    filters: int = 4

    def layers(self, input_shape: tuple[int, ...]) -> list[Layer]:
        if len(input_shape) != 3:
            raise ValueError(f"Small is for images, got {input_shape}")
        return [Conv2D(self.filters, 3, padding="same"), Activation("relu"), GlobalAvgPool2D()]


@dataclass(frozen=True)
class Uniform:
    """An initializer."""

    bound: float = 0.3

    def __call__(self, shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator) -> Array:
        return rng.uniform(-self.bound, self.bound, shape)


@dataclass(frozen=True)
class Scale(Layer):
    """A layer that multiplies each channel; `table` has a type that exists for type checkers only."""

    start: float = 1.0
    inverse: bool = False
    table: Missing | None = None

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return input_shape

    def parameters(self, input_shape: tuple[int, ...]) -> dict[str, ParameterSpec]:
        return {"factor": ParameterSpec((input_shape[-1],), Constant(self.start), kind="norm")}

    def forward(self, x: Array, params: Any, context: Context) -> tuple[Array, Any]:
        return x * params["factor"], x

    def backward(self, dy: Array, cache: Any, params: Any, grads: Any, context: Context) -> Array | None:
        if "factor" in grads:
            grads["factor"] += (dy * cache).sum(axis=tuple(range(dy.ndim - 1)))
        return dy * params["factor"] if context.needs_dx else None


@dataclass(frozen=True)
class Entropy(CrossEntropy):
    """A loss."""

    scale: float = 1.0


@dataclass
class Descent(BaseEstimator):
    """A solver."""

    slots: ClassVar[int] = 1

    factor: float = 1.0

    def step(
        self,
        parameters: Array,
        gradients: Array,
        slots: Array,
        learning_rate: float,
        t: int,
        *,
        n_weights: int,
        n_threads: int = 1,
    ) -> None:
        slots[0] = gradients
        parameters -= self.factor * learning_rate * gradients


@dataclass
class Halving(BaseEstimator):
    """A schedule."""

    base: float = 0.5

    def factor(self, progress: Progress) -> float:
        return self.base ** int(progress.epoch)
