"""Layers called without a network: arrays that do not fit are refused before kernels could read past them."""

import numpy as np
import pytest

from pyconvx._core.workspace import Workspace
from pyconvx.layers import (
    Activation,
    AvgPool2D,
    BatchNorm,
    Context,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    GlobalAvgPool2D,
    MaxPool2D,
    Program,
    Residual,
    SeparableConv2D,
)

RELU = Activation("relu")
IMAGES, ROWS = (7, 6, 4), (40,)
CASES = [
    (Conv2D(5), IMAGES),
    (Conv2D(6, 2, stride=2, groups=2, padding=1), IMAGES),
    (Conv2D(18, padding="same"), (7, 6, 17)),  # through Winograd's transform
    (DepthwiseConv2D(multiplier=2), IMAGES),
    (SeparableConv2D(5), IMAGES),
    (Dense(9), ROWS),
    (BatchNorm(), IMAGES),
    (BatchNorm(), ROWS),
    (MaxPool2D(), IMAGES),
    (MaxPool2D(3, stride=1, padding=1), IMAGES),
    (AvgPool2D(), IMAGES),
    (AvgPool2D(2, ceil_mode=True, count_include_pad=True), IMAGES),
    (GlobalAvgPool2D(), IMAGES),
    (RELU, IMAGES),
    (Activation("softmax"), ROWS),
    (Dropout(0.5), ROWS),
    (Residual((Conv2D(4, padding="same"), RELU)), IMAGES),
]
REFUSED = pytest.raises(ValueError, match=r"must have shape|reshape|do not match|broadcast|same shape")


def made(layer, shape, dtype=np.float32):
    """A batch, the parameters and a context for training that may write the states."""
    rng = np.random.default_rng(0)
    specs = layer.parameters(shape)
    params = {name: rng.uniform(0.5, 1.5, spec.shape).astype(dtype) for name, spec in specs.items()}
    states = {name: params[name].copy() for name, spec in specs.items() if spec.kind == "state"}
    context = Context(True, Workspace(), states=states)
    return rng.standard_normal((3, *shape)).astype(dtype), params, context


def other_shapes(array):
    """The numbers in arrays with one row more, or less, along an axis."""
    for axis in range(array.ndim):
        yield np.concatenate([array, array.take([0], axis)], axis)
        if array.shape[axis] > 1:
            yield np.ascontiguousarray(array.take(range(array.shape[axis] - 1), axis))


def gradients(layer, params):
    return {name: np.zeros_like(array) for name, array in params.items() if not name.startswith("running")}


@pytest.mark.parametrize(("layer", "shape"), CASES, ids=str)
def test_parameters_that_do_not_fit(layer, shape):
    x, params, context = made(layer, shape)
    layer.forward(x, params, context)
    for name, array in params.items():
        for other in other_shapes(array):
            with REFUSED:
                layer.forward(x, params | {name: other}, context)
            program = Program({})
            with REFUSED:
                layer.forward(x, params | {name: other}, Context(False, Workspace(), program=program))
                program.run()


@pytest.mark.parametrize(("layer", "shape"), CASES, ids=str)
def test_gradients_that_do_not_fit(layer, shape):
    x, params, context = made(layer, shape)
    y, cache = layer.forward(x, params, context)
    dy, grads = np.ones_like(y), gradients(layer, params)
    assert layer.backward(dy, cache, params, grads, context).shape == x.shape
    for other in other_shapes(dy):
        with REFUSED:
            layer.backward(other, cache, params, grads, context)
    for name, array in grads.items():
        for other in other_shapes(array):
            with REFUSED:
                layer.backward(dy, cache, params, grads | {name: other}, context)


@pytest.mark.parametrize("layer", [Conv2D(4), Dense(9)], ids=str)
def test_only_the_bias_learns(layer):
    """Nothing but the bias is asked for, so that no other kernel sees the batch's size."""
    x, params, context = made(layer, IMAGES if isinstance(layer, Conv2D) else ROWS)
    y, cache = layer.forward(x, params, context)
    context.needs_dx = False
    with REFUSED:
        layer.backward(np.concatenate([y, y]), cache, params, {"bias": np.zeros_like(params["bias"])}, context)


def test_a_batch_of_other_samples():
    for layer, shape in CASES:
        x, params, context = made(layer, shape)
        if params:
            with REFUSED:
                layer.forward(np.concatenate([x, x], -1), params, context)


def test_sample_numbers_for_another_batch():
    x, params, context = made(Dropout(0.5), ROWS)
    context.randomness.samples = np.arange(4)
    with REFUSED:
        Dropout(0.5).forward(x, params, context)
