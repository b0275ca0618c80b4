"""What a network's parameters are before training."""

import numpy as np
import pytest
from nets import PLAIN, RELU, net

from pyconvx.initializers import Constant, xavier_uniform
from pyconvx.layers import Activation, BatchNorm, Conv2D, Dense, Flatten, MaxPool2D
from pyconvx.network import Network


@pytest.mark.parametrize(
    ("initializer", "words"),
    [
        ("zeros", "conv2d_1.kernel: initializer 'zeros' starts the kernel all zero, it would not learn"),
        (Constant(0.5), "conv2d_1.kernel: initializer .* starts all 4 filters equal"),
    ],
)
def test_kernels_that_cannot_learn_are_refused(initializer, words):
    with pytest.raises(ValueError, match=words):
        net(initializer=initializer)


def test_where_equal_filters_are_legal():
    net((Conv2D(2, 1, initializer="dirac"), Flatten(), Dense(3)))
    net((Conv2D(1, 3, initializer=Constant(0.1)), Flatten(), Dense(3)))
    net((Conv2D(4, initializer="zeros"), Flatten(), Dense(3)), frozen=("conv2d_1",))
    one = Network((Conv2D(1, 1, initializer="zeros"),), (1, 1, 1))
    assert one.parameters["conv2d_1.kernel"].tolist() == [[[[0.0]]]]


def bound(network, name):
    return float(np.abs(network.parameters[name]).max())


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        ("relu", lambda fan_in, fan_out: np.sqrt(6 / fan_in)),
        ("gelu", lambda fan_in, fan_out: np.sqrt(6 / fan_in)),
        ("tanh", lambda fan_in, fan_out: np.sqrt(6 / (fan_in + fan_out))),
        ("sigmoid", lambda fan_in, fan_out: np.sqrt(6 / (fan_in + fan_out))),
    ],
)
def test_auto_takes_what_the_activation_declares(activation, expected):
    layers = (
        Conv2D(40), BatchNorm(), Activation(activation), MaxPool2D(2), Flatten(), Dense(60),
        Activation(activation), Dense(50),
    )  # fmt: skip
    network = net(layers)
    fans = {"conv2d_1.kernel": (18, 9 * 40), "dense_1.weights": (240, 60)}
    for name, (fan_in, fan_out) in fans.items():
        limit = expected(fan_in, fan_out)
        assert 0.97 * limit < bound(network, name) <= limit
    limit = np.sqrt(6 / (60 + 50))  # softmax follows the output layer
    assert 0.97 * limit < bound(network, "dense_2.weights") <= limit


def test_a_layers_own_initializer_goes_first():
    layers = (Conv2D(40, initializer="zeros"), RELU, Flatten(), Dense(3))
    with pytest.raises(ValueError, match="all zero"):
        net(layers, initializer="he_normal")
    network = net((Conv2D(40, initializer=xavier_uniform), RELU, Flatten(), Dense(3)))
    assert bound(network, "conv2d_1.kernel") <= np.sqrt(6 / (18 + 9 * 40))


def test_starting_values_depend_on_seed_and_name_only():
    network = net()
    longer = net((*PLAIN, RELU, Dense(2)))
    for name in ("conv2d_1.kernel", "dense_1.weights"):
        np.testing.assert_array_equal(network.parameters[name], longer.parameters[name])
    assert not np.array_equal(network.buffer, net(seed=1).buffer)
    single = Network(PLAIN, (8, 7, 2))
    np.testing.assert_array_equal(single.buffer, network.buffer.astype(np.float32))
