"""Convolution, activation and max pool in one step give what the layers give one by one, forward and backward."""

import numpy as np
import pytest
from nets import outputs, passes

from pyconvx import activations, testing
from pyconvx.layers import Activation, Conv2D, DepthwiseConv2D, MaxPool2D, Residual
from pyconvx.layers.fusion import one_by_one
from pyconvx.network import Memory, Network

RELU = Activation("relu")
CONVOLUTIONS = [
    Conv2D(32),
    Conv2D(5, padding="same"),
    Conv2D(33, 1),
    Conv2D(16, (2, 3), padding=((0, 1), (2, 0))),
    Conv2D(7, stride=2, padding=1),
    Conv2D(3, stride=(1, 2), bias=False),
    Conv2D(6, 2, dilation=2),
    Conv2D(3, dilation=(2, 1), padding=((4, 3), (2, 2))),
    Conv2D(40, 5, padding=3),
]
GROUPED = [Conv2D(6, groups=3), Conv2D(51, groups=3, padding="same"), Conv2D(3, groups=3, padding=1)]
POOLS = [
    MaxPool2D(),
    MaxPool2D(3),
    MaxPool2D((2, 1)),
    MaxPool2D((1, 3), stride=(2, 4)),
    MaxPool2D(2, stride=3),
    MaxPool2D(2, stride=9),
]


def pair(layers, shape, dtype=np.float64):
    """Return the same network twice: with fused steps, and layer by layer."""
    fused, single = (Network(layers, shape, dtype=dtype) for _ in range(2))
    single.steps = one_by_one(single.layers, single.names)
    single._first = 0
    assert len(fused.steps) < len(single.steps)
    return fused, single


def agree(layers, shape, rows, dtype=np.float64, ulps=0):
    """Check outputs and gradients of parameters; a convolution in front shows the gradient of an input."""
    fused, single = pair(layers, shape, dtype)
    rng = np.random.default_rng(rows)
    x = rng.standard_normal((rows, *shape)).astype(dtype)
    dy = rng.standard_normal((rows, *fused.output_shape)).astype(dtype)
    (y, gradient), (expected, slopes) = passes(fused, x, dy), passes(single, x, dy)
    np.testing.assert_array_max_ulp(y, expected, ulps)
    scale = np.finfo(dtype).eps * max(1.0, np.abs(slopes).max())
    np.testing.assert_allclose(gradient, slopes, rtol=0, atol=50 * scale)
    np.testing.assert_array_equal(outputs(fused, x), y)
    for threads in (2, 3):
        for one, other in zip(passes(fused, x, dy, n_threads=threads), (y, gradient), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("pool", POOLS, ids=str)
@pytest.mark.parametrize("conv", CONVOLUTIONS + GROUPED, ids=str)
def test_equals_layers_one_by_one(conv, pool):
    """Odd maps, so that a pool drops the last row or column; the layer in front of it needs dx."""
    channels = (3,) if conv.groups > 1 else (1, 3, 16)
    for C in channels:
        for rows, dtype in ((1, np.float64), (3, np.float32), (17, np.float32)):
            agree((Conv2D(C, 1), conv, RELU, pool), (15, 12, 2), rows, dtype)


@pytest.mark.parametrize("rows", [1, 2, 4, 5])
@pytest.mark.parametrize("layers", [
    (Conv2D(32), RELU, MaxPool2D()),
    (Conv2D(8, 7, stride=2, padding=3), MaxPool2D(2)),
    (Conv2D(12, padding="same"), MaxPool2D(3), RELU),
], ids=str)  # fmt: skip
def test_stems(layers, rows):
    """First layers: few channels, large maps, windows that are gathered."""
    agree(layers, (61, 58, 1), rows, np.float32)
    agree(layers, (61, 58, 3), rows)


@pytest.mark.parametrize("size", [4, 9, 16])
def test_wide_layers(size):
    """Gradients that are summed in tiles, kernels that are packed just before use."""
    layers = (Conv2D(130, 1), Conv2D(150, padding="same"), RELU, MaxPool2D())
    for rows in (1, 3):
        agree(layers, (size, size, 3), rows, np.float32)


COMPILED = [name for name in activations.registry.names() if hasattr(activations.registry.get(name), "capsule")]


@pytest.mark.parametrize("name", COMPILED)
def test_activations(name):
    """Before the pool or after it. A pool before sigmoid or softplus may change the last bit."""
    act = Activation(name)
    for order in ((act, MaxPool2D()), (MaxPool2D(), act)):
        agree((Conv2D(4, 1), Conv2D(9, padding="same"), *order), (8, 9, 2), 5, ulps=1)


def steps(*layers):
    return [str(step) for step in Network(layers, (9, 9, 2)).steps]


def test_what_is_fused():
    assert steps(Conv2D(3), RELU, MaxPool2D()) == ["conv2d_1 + activation_1 + maxpool2d_1"]
    assert steps(Conv2D(3), MaxPool2D(), RELU) == ["conv2d_1 + maxpool2d_1 + activation_1"]
    assert steps(Conv2D(3), MaxPool2D((2, 3), padding="valid")) == ["conv2d_1 + maxpool2d_1"]
    assert steps(Conv2D(3), RELU, MaxPool2D(), RELU) == ["conv2d_1 + activation_1 + maxpool2d_1", "activation_2"]


@pytest.mark.parametrize("pool", [
    MaxPool2D(3, stride=2), MaxPool2D(2, padding=1), MaxPool2D(2, padding="same"), MaxPool2D(2, ceil_mode=True),
    MaxPool2D(2, dilation=2, stride=4), MaxPool2D(1),
], ids=str)  # fmt: skip
def test_pools_that_run_on_their_own(pool):
    assert steps(Conv2D(3), RELU, pool) == ["conv2d_1 + activation_1", "maxpool2d_1"]


def test_other_layers_that_are_not_fused_with_a_pool():
    gelu = Activation("gelu")
    assert steps(Conv2D(3), gelu, MaxPool2D()) == ["conv2d_1 + activation_1", "maxpool2d_1"]
    assert steps(DepthwiseConv2D(), MaxPool2D()) == ["depthwiseconv2d_1", "maxpool2d_1"]
    assert steps(Conv2D(3), Activation("softmax"), MaxPool2D()) == ["conv2d_1", "activation_1", "maxpool2d_1"]
    assert steps(Conv2D(300, 1), MaxPool2D(9)) == ["conv2d_1 + maxpool2d_1"]
    assert [str(step) for step in Network((Conv2D(2), MaxPool2D((17, 15))), (20, 20, 1)).steps] == [
        "conv2d_1", "maxpool2d_1"
    ]  # fmt: skip


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity(value):
    """A NaN wins its window, as in the pool on its own."""
    fused, single = pair((Conv2D(5, padding="same"), MaxPool2D()), (7, 6, 2))
    x = np.random.default_rng(0).standard_normal((2, 7, 6, 2))
    x[0, 3, 2, 1] = x[1, 0, 0, 0] = value
    y = outputs(fused, x)
    np.testing.assert_array_equal(y, outputs(single, x))
    assert not np.isfinite(y).all()


def test_ties_go_to_the_first_tap():
    fused, single = pair((Conv2D(2), MaxPool2D()), (6, 6, 1))
    x, dy = np.ones((3, 6, 6, 1)), np.random.default_rng(0).standard_normal((3, 2, 2, 2))
    for one, other in zip(passes(fused, x, dy), passes(single, x, dy), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13)


BLOCKS = [
    Residual((Conv2D(4, padding="same"), RELU, MaxPool2D()), (Conv2D(4, 2, stride=2), RELU)),
    Residual((Conv2D(5, padding="same"), MaxPool2D(), RELU), (Conv2D(5, 1), RELU, MaxPool2D())),
    Residual((Residual((Conv2D(4, 1), Activation("tanh"))),), (Conv2D(4, 1), Activation("gelu"))),
]


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_blocks(block):
    """Steps inside a block keep the contract of a layer: right gradients, dy unchanged, equal bits."""
    testing.check_layer(block, (6, 4, 4))


def test_the_output_of_every_layer_can_be_had():
    fused, _ = pair((Conv2D(4), RELU, MaxPool2D(), Conv2D(3, 1), MaxPool2D()), (10, 10, 1))
    x = np.random.default_rng(0).standard_normal((3, 10, 10, 1))
    memory = Memory()
    context = fused.context(False, memory.kept, 1)
    for place in range(len(fused.layers)):
        assert fused.layer_output(x, place, context, memory).shape == (3, *fused.shapes[place])
    np.testing.assert_array_equal(fused.layer_output(x, 4, context, memory), outputs(fused, x))


def test_the_longest_window_a_byte_counts():
    agree((Conv2D(2, 1), Conv2D(3, 1), MaxPool2D((127, 2))), (130, 5, 1), 2)
