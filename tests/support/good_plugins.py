"""One plugin of each family that keeps its contract, as another package would write it."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from sklearn.base import BaseEstimator

from pyconvx.initializers import Constant
from pyconvx.layers import Activation, Conv2D, GlobalAvgPool2D, Layer, ParameterSpec

# family -> class here, parameter of CNNClassifier
FAMILIES = {
    "activations": ("Tanh", "activation"),
    "architectures": ("Small", "layers"),
    "initializers": ("Uniform", "initializer"),
    "layers": ("Scale", "layers"),
    "losses": ("Entropy", "loss"),
    "solvers": ("Descent", "solver"),
    "schedules": ("Halving", "learning_rate"),
}


def parameter(family, plugin):
    """Return the constructor's argument that makes a CNNClassifier use a plugin."""
    return {FAMILIES[family][1]: [plugin] if family == "layers" else plugin}


@dataclass(frozen=True)
class Tanh:
    """An activation."""

    def forward(self, x):
        return np.tanh(x)

    def backward(self, dy, x, y):
        return dy * (1 - y * y)


@dataclass(frozen=True)
class Small:
    """An architecture."""

    made_for: ClassVar[tuple[int, ...]] = (6, 6, 1)

    filters: int = 4

    def layers(self, input_shape):
        if len(input_shape) != 3:
            raise ValueError(f"Small is for images, got {input_shape}")
        return [Conv2D(self.filters, 3, padding="same"), Activation("relu"), GlobalAvgPool2D()]


@dataclass(frozen=True)
class Uniform:
    """An initializer."""

    def __call__(self, shape, fan_in, fan_out, rng):
        return rng.uniform(-0.3, 0.3, shape)


@dataclass(frozen=True)
class Scale(Layer):
    """A layer."""

    def output_shape(self, input_shape):
        return input_shape

    def parameters(self, input_shape):
        return {"factor": ParameterSpec((input_shape[-1],), Constant(1.0), kind="norm")}

    def forward(self, x, params, context):
        y = context.workspace.take(x.shape, x.dtype)
        return np.multiply(x, params["factor"], out=y), x

    def backward(self, dy, x, params, grads, context):
        grads["factor"] += (dy * x).sum(axis=tuple(range(dy.ndim - 1)))
        return dy * params["factor"] if context.needs_dx else None


@dataclass(frozen=True)
class Entropy:
    """A loss."""

    def value_and_gradient(self, logits, targets, weights, gradient, *, n_threads=1):
        found = self.predictions(logits)
        rows = np.arange(len(targets))
        value = -(weights * np.log(found[rows, targets])).sum()
        found[rows, targets] -= 1
        np.multiply(found, weights[:, None], out=gradient)
        return float(value)

    def predictions(self, logits):
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)


class Descent(BaseEstimator):
    """A solver."""

    slots: ClassVar[int] = 1

    def step(self, parameters, gradients, slots, learning_rate, t, *, n_weights, n_threads=1):
        slots[0] = gradients
        parameters -= learning_rate * gradients


class Halving(BaseEstimator):
    """A schedule."""

    def factor(self, progress):
        return 0.5 ** int(progress.epoch)
