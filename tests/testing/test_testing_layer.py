"""check_layer on layers that are each wrong in one way."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from pyconvx import testing
from pyconvx.exceptions import PluginError
from pyconvx.layers import Layer, ParameterSpec


@dataclass(frozen=True)
class Scale(Layer):
    """A correct layer: y = w x, with a count of the passes in training as its state."""

    def output_shape(self, input_shape):
        return input_shape

    def parameters(self, input_shape):
        return {
            "w": ParameterSpec((input_shape[-1],)),
            "passes": ParameterSpec((1,), "zeros", kind="state"),
        }

    def forward(self, x, params, context):
        if context.training:
            context.update_state("passes", params["passes"] + 1)
        y = context.workspace.take(x.shape, x.dtype)
        np.multiply(x, params["w"], out=y)
        return y, x

    def backward(self, dy, cache, params, grads, context):
        if "w" in grads:
            grads["w"] += (dy * cache).reshape(-1, cache.shape[-1]).sum(axis=0)
        return dy * params["w"] if context.needs_dx else None


class WrongShape(Scale):
    def output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] + 1)


class WrongDx(Scale):
    def backward(self, dy, cache, params, grads, context):
        super().backward(dy, cache, params, grads, context)
        return 1.01 * dy * params["w"] if context.needs_dx else None


class WrongGradient(Scale):
    def backward(self, dy, cache, params, grads, context):
        if "w" in grads:
            grads["w"] += dy.reshape(-1, dy.shape[-1]).sum(axis=0)
        return dy * params["w"] if context.needs_dx else None


class Overwrites(Scale):
    def backward(self, dy, cache, params, grads, context):
        if "w" in grads:
            grads["w"][...] = (dy * cache).reshape(-1, cache.shape[-1]).sum(axis=0)
        return dy * params["w"] if context.needs_dx else None


class Widens(Scale):
    def forward(self, x, params, context):
        y, cache = super().forward(x, params, context)
        return y.astype(np.float64), cache


class Rounds(Scale):
    def forward(self, x, params, context):
        y, cache = super().forward(x, params, context)
        return (np.round(y, 2) if x.dtype == np.float32 else y), cache


class WritesInput(Scale):
    def forward(self, x, params, context):
        if x.flags.writeable:
            x *= 1.5
        return super().forward(x, params, context)


class WritesSlopes(Scale):
    def backward(self, dy, cache, params, grads, context):
        dx = super().backward(dy, cache, params, grads, context)
        dy *= 2
        return dx


class WritesState(Scale):
    def forward(self, x, params, context):
        context.update_state("passes", params["passes"] + 1)
        return super().forward(x, params, context)


class Noise(Scale):
    def forward(self, x, params, context):
        y, cache = super().forward(x, params, context)
        return y + np.random.default_rng().uniform(size=y.shape).astype(y.dtype) * 1e-6, cache


class ReadsLitter(Scale):
    def forward(self, x, params, context):
        y, cache = super().forward(x, params, context)
        y[0] += context.workspace.take(y[0].shape, y.dtype)
        return y, cache


class CountsThreads(Scale):
    def forward(self, x, params, context):
        y, cache = super().forward(x, params, context)
        return y * x.dtype.type(1 + 1e-6 * context.n_threads), cache


class AlwaysDx(Scale):
    def backward(self, dy, cache, params, grads, context):
        super().backward(dy, cache, params, grads, context)
        return dy * params["w"]


class NeedsGradients(Scale):
    def backward(self, dy, cache, params, grads, context):
        grads["w"] += (dy * cache).reshape(-1, cache.shape[-1]).sum(axis=0)
        return dy * params["w"] if context.needs_dx else None


class MixesRows(Scale):
    def forward(self, x, params, context):
        y, cache = super().forward(x, params, context)
        return (y if context.training else y - y.mean(axis=0)), cache


class LayerNaN(Scale):
    def forward(self, x, params, context):
        y, cache = super().forward(x, params, context)
        return np.where(y > 0, y, np.nan).astype(y.dtype), cache


class Backwards(Scale):
    def forward(self, x, params, context):
        y, cache = super().forward(x, params, context)
        return y[..., ::-1], cache


class NoCache(Scale):
    def forward(self, x, params, context):
        return super().forward(x, params, context)[0]


class NoDx(Scale):
    def backward(self, dy, cache, params, grads, context):
        return None


class Raises(Scale):
    def forward(self, x, params, context):
        raise RuntimeError("out of cheese")


class NoSpec(Scale):
    def parameters(self, input_shape):
        return {"w": (input_shape[-1],)}


class NoKind(Scale):
    def parameters(self, input_shape):
        return {"w": ParameterSpec((input_shape[-1],), kind="wieght")}


class NoInitializer(Scale):
    def parameters(self, input_shape):
        return {"w": ParameterSpec((input_shape[-1],), "hee_uniform")}


class EmptySpec(Scale):
    def parameters(self, input_shape):
        return {"w": ParameterSpec((0,))}


@dataclass(frozen=True)
class Unhashable(Scale):
    memory: object = field(default_factory=dict)


class Identity(Scale):
    __hash__ = object.__hash__

    def __eq__(self, other):
        return self is other


class LayerLambda(Scale):
    def __reduce__(self):
        return (lambda: None), ()


class NoBackward:
    def output_shape(self, input_shape):
        return input_shape

    def parameters(self, input_shape):
        return {}

    def forward(self, x, params, context):
        return x, None


def test_right_layer():
    testing.check_layer(Scale())
    testing.check_layer(Scale, (3,))


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (WrongShape, r"forward returned shape \(3, 6, 5, 4\), output_shape says \(3, 6, 5, 5\)"),
        (WrongDx, "backward: dx is wrong"),
        (WrongGradient, "backward: the gradient of w is wrong"),
        (Overwrites, "overwrites the gradient of w"),
        (Widens, "forward made float64 of float32"),
        (Rounds, "y in float32 differs from float64"),
        (WritesInput, "writes x"),
        (WritesSlopes, "backward writes dy"),
        (WritesState, "writes the state passes outside training"),
        (Noise, "a second run gives other bits"),
        (ReadsLitter, "reads workspace memory"),
        (CountsThreads, "2 threads give other bits"),
        (AlwaysDx, "returned a dx without needs_dx"),
        (NeedsGradients, "backward .* raised KeyError"),
        (MixesRows, "depends on the rest of its batch"),
        (LayerNaN, "forward returned NaN"),
        (Backwards, "not C-contiguous"),
        (NoCache, r"forward must return \(y, cache\)"),
        (NoDx, "backward returned NoneType"),
        (Raises, "forward .* raised RuntimeError: out of cheese"),
        (NoSpec, "not a ParameterSpec"),
        (NoKind, "kind 'wieght'"),
        (NoInitializer, "unknown initializer 'hee_uniform'"),
        (EmptySpec, r"shape \(0,\), expected a tuple of positive ints"),
        (Unhashable, "hash raised TypeError"),
        (Identity, "does not equal its pickled copy"),
        (LayerLambda, "cannot be pickled"),
        (NoBackward, "has no method backward"),
    ],
)
def test_wrong_layer(wrong, reason):
    with pytest.raises(AssertionError, match=f"(?s)layer .*{wrong.__name__}.*: .*{reason}"):
        testing.check_layer(wrong())


def test_unknown_name():
    with pytest.raises(PluginError, match="unknown layer 'no_such_layer'"):
        testing.check_layer("no_such_layer")
