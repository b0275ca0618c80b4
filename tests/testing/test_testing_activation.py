"""check_activation on activations and capsules that are each wrong in one way."""

import ctypes
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest

from pyconvx import testing

Array = Any


class Cube:
    """A correct activation: x^3."""

    initializer = "he_normal"

    def forward(self, x: Array) -> Array:
        return x * x * x

    def backward(self, dy: Array, x: Array, y: Array) -> Array:
        return 3 * x * x * dy


class WrongGradient(Cube):
    def backward(self, dy, x, y):
        return 3.0001 * x * x * dy


class WrongForwardShape(Cube):
    def forward(self, x):
        return super().forward(x).reshape(-1)


class WrongBackwardShape(Cube):
    def backward(self, dy, x, y):
        return super().backward(dy, x, y)[..., :1]


class ForwardChangesDtype(Cube):
    def forward(self, x):
        return super().forward(x).astype(np.float64)


class BackwardChangesDtype(Cube):
    def backward(self, dy, x, y):
        return super().backward(dy, x, y).astype(np.float32)


class GivesNaN(Cube):
    def forward(self, x):
        return np.where(np.abs(x) < 40, super().forward(x), x.dtype.type(np.nan))


class HidesNaN(Cube):
    def forward(self, x):
        return np.nan_to_num(super().forward(x))


class WritesForward(Cube):
    def forward(self, x):
        x *= 1.5
        return super().forward(x / 1.5)


class WritesBackward(Cube):
    def backward(self, dy, x, y):
        dx = super().backward(dy, x, y)
        dy[:] = 0
        return dx


class ReturnsInput(Cube):
    def forward(self, x):
        return x


class NeedsWritable(Cube):
    def forward(self, x):
        if not x.flags.writeable:
            raise ValueError("buffer source array is read-only")
        return super().forward(x)


class MixesRows(Cube):
    def forward(self, x):
        return x - x.mean(axis=0) if x.size else x + 0


class Raises(Cube):
    def forward(self, x):
        raise RuntimeError("no luck")


class ReturnsList(Cube):
    def forward(self, x):
        return super().forward(x).tolist()


class PoorFloat32(Cube):
    def forward(self, x):
        return (super().forward(x) * (1.01 if x.dtype == np.float32 else 1)).astype(x.dtype)


class UnknownInitializer(Cube):
    initializer = "he_norml"


class NotPicklable(Cube):
    def __init__(self):
        self.function = lambda x: x


class ForgetsItself(Cube):
    def __init__(self, factor=2.0):
        self.factor = factor

    def forward(self, x):
        return self.factor * super().forward(x)

    def backward(self, dy, x, y):
        return self.factor * super().backward(dy, x, y)

    def __reduce__(self):
        return ForgetsItself, (3.0,)


class TooManyParameters(Cube):
    def forward(self, x, slope):
        return slope * x


WRONG_ACTIVATIONS = [
    (WrongGradient, "wrong gradient"),
    (WrongForwardShape, r"forward of float32 \(3, 5\) returned shape \(15,\), expected \(3, 5\)"),
    (WrongBackwardShape, "backward of .* returned shape"),
    (ForwardChangesDtype, "forward of float32 .* returned dtype float64, expected float32"),
    (BackwardChangesDtype, "backward of float64 .* returned dtype float32, expected float64"),
    (GivesNaN, "forward is NaN or infinite at x ="),
    (HidesNaN, "turns NaN into a number"),
    (WritesForward, "forward .* writes its input"),
    (WritesBackward, r"backward .* writes its input \(argument 1\)"),
    (ReturnsInput, "returned its input's memory"),
    (NeedsWritable, "read-only arrays raised ValueError"),
    (MixesRows, "mixes the rows"),
    (Raises, "raised RuntimeError: no luck"),
    (ReturnsList, "returned list, not an ndarray"),
    (PoorFloat32, "differs from float64"),
    (UnknownInitializer, "initializer 'he_norml' is unknown"),
    (NotPicklable, "cannot be pickled"),
    (ForgetsItself, "pickled copy gives other values"),
    (TooManyParameters, "breaks its contract"),
]


def test_right_activation_object_and_class():
    testing.check_activation(Cube())
    testing.check_activation(Cube)


@pytest.mark.parametrize(("wrong", "reason"), WRONG_ACTIVATIONS)
def test_wrong_activation(wrong, reason):
    with pytest.raises(AssertionError, match=f"(?s)activation .*{wrong.__name__}.*: .*{reason}"):
        testing.check_activation(wrong())


# --- capsules, made of Python functions by ctypes ---------------------------------------------

KEEP: list[Any] = []  # objects that C points to


def elementwise(function: Callable[..., float], real: Any, arrays: int) -> Any:
    """Make a C function of rows from a Python function of numbers."""
    pointer = ctypes.POINTER(real)

    def loop(*arguments: Any) -> None:
        *sources, out, n = arguments
        for i in range(n):
            out[i] = function(*[source[i] for source in sources])

    made = ctypes.CFUNCTYPE(None, *[pointer] * (arrays + 1), ctypes.c_ssize_t)(loop)
    KEEP.append(made)
    return ctypes.cast(made, ctypes.c_void_p).value


def make_capsule(f: Callable[[float], float], df: Callable[[float, float], float], flags: int) -> Any:
    """Make a capsule pyconvx.activation.v1, laid out as in activation.h."""
    pointers = [
        elementwise(function, real, arrays)
        for real in (ctypes.c_float, ctypes.c_double)
        for function, arrays in ((f, 1), (df, 2))
    ]
    words = (ctypes.c_uint64 * 5)(1 | flags << 32, *pointers)
    KEEP.append(words)
    new = ctypes.pythonapi.PyCapsule_New
    new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    return new(ctypes.addressof(words), b"pyconvx.activation.v1", None)


class CompiledCube(Cube):
    """Correct, also as a capsule: x^3 never decreases."""

    capsule: ClassVar[Any] = make_capsule(lambda x: x**3, lambda v, dy: 3 * v * v * dy, 2)


class OtherCapsule(Cube):
    capsule: ClassVar[Any] = make_capsule(lambda x: 2 * x**3, lambda v, dy: 6 * v * v * dy, 0)


class WrongCapsuleGradient(Cube):
    capsule: ClassVar[Any] = make_capsule(lambda x: x**3, lambda v, dy: 2 * v * v * dy, 0)


class WrongFromOutput(Cube):
    """With flag 1 the C function gets y, but uses it as x."""

    capsule: ClassVar[Any] = make_capsule(lambda x: x**3, lambda v, dy: 3 * v * v * dy, 1)


class Square:
    capsule: ClassVar[Any] = make_capsule(lambda x: x * x, lambda v, dy: 2 * v * dy, 2)


def test_right_capsule():
    testing.check_activation(CompiledCube())


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (OtherCapsule, "differs from forward"),
        (WrongCapsuleGradient, "wrong gradient"),
        (WrongFromOutput, "wrong gradient"),
        (Square, "decreases, but its flags say it does not"),
    ],
)
def test_wrong_capsule(wrong, reason):
    with pytest.raises(AssertionError, match=rf"{wrong.__name__}.*\(capsule\): .*{reason}"):
        testing.check_activation(wrong())
