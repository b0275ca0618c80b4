"""Wrong architectures: the check names each and says what is wrong."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
from good_plugins import Small

from pyconvx.layers import Activation, Conv2D, Dense, Flatten, GlobalAvgPool2D
from pyconvx.testing import check_architecture


@dataclass(frozen=True)
class Given:
    """Gives the layers that it holds."""

    held: object = ()

    made_for: ClassVar[tuple[int, ...]] = (6, 6, 1)

    def layers(self, input_shape):
        return self.held


@dataclass(frozen=True)
class Moody(Small):
    """Gives other layers each time."""

    calls: ClassVar[list[int]] = []

    def layers(self, input_shape):
        self.calls.append(1)
        return [Conv2D(len(self.calls), 1)]


@dataclass(frozen=True)
class Fragile(Small):
    def layers(self, input_shape):
        raise RuntimeError("boom")


class Local(Small):
    made_for: ClassVar[object] = "28x28"


def test_a_correct_one():
    check_architecture(Small())
    check_architecture(Small)
    check_architecture(Small(7), (9, 4, 2))


@pytest.mark.parametrize(
    ("plugin", "words"),
    [
        (Given(()), r"layers\(6, 6, 1\) returned \(\), expected a sequence of layers"),
        (Given("conv2d"), "returned 'conv2d', expected a sequence of layers"),
        (Given((3,)), "returned 3: its check raised TypeError"),
        (Given((Flatten,)), "returned the class .*Flatten"),
        (Given((Conv2D(2, 9),)), "their shapes raised ValueError: layer 0, Conv2D"),
        (Given((Flatten(), Dense(3), Activation("softmax"))), "the layers end with .*leave the output layer"),
        (Given((GlobalAvgPool2D(), Dense(3, initializer="ones"))), "a network of its layers raised ValueError"),
        (Moody(), "returned other layers when asked again"),
        (Fragile(), r"layers\(6, 6, 1\) raised RuntimeError: boom"),
        (Local(), r"made_for='28x28', expected the shape \(H, W, C\) or \(L, C\)"),
        (object(), r"has no method layers\(input_shape\)"),
    ],
)
def test_what_is_wrong(plugin, words):
    with pytest.raises(AssertionError, match=words):
        check_architecture(plugin)


@dataclass(frozen=True)
class Silent(Small):
    """Its first layer reaches nothing: a dead activation follows."""

    def layers(self, input_shape):
        return [Conv2D(2, 1), Dead(), GlobalAvgPool2D()]


@dataclass(frozen=True)
class Dead:
    """A layer that gives zeros."""

    def output_shape(self, input_shape):
        return input_shape

    def parameters(self, input_shape):
        return {}

    def forward(self, x, params, context):
        return x * 0, None

    def backward(self, dy, cache, params, grads, context):
        return dy * 0


def test_parameters_that_nothing_reaches():
    with pytest.raises(AssertionError, match=r"conv2d_1\.kernel gets no gradient"):
        check_architecture(Silent())


@dataclass(frozen=True)
class Typed(Small):
    """Raises a TypeError for signals."""

    def layers(self, input_shape):
        return [Conv2D(input_shape[2] + 1, 1)] if len(input_shape) == 3 else [Conv2D(None)]


def test_an_error_of_another_kind_for_signals():
    with pytest.raises(AssertionError, match=r"layers\(9, 2\) raised TypeError: .*expected ValueError"):
        check_architecture(Typed())
