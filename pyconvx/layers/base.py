"""What a layer is: a frozen value that declares shapes and parameters and computes both directions.

A layer holds no arrays. The network owns all memory and hands parameters, gradients and a `Context` to
`forward` and `backward`; so one layer value may stand in many networks, and predicting from many threads
is safe. What else a layer can do, it says itself: be part of the layer before it (`epilogue`), take such a
part over (`takes`), absorb a batch norm that follows (`absorb`).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeVar

from pyconvx._core.fields import field_types
from pyconvx._core.numbers import as_tuples, require_real
from pyconvx._core.types import Array, FloatArray, Shape
from pyconvx.layers.context import Context
from pyconvx.layers.epilogue import Epilogue
from pyconvx.ops.geometry import Window
from pyconvx.registry import Registry
from pyconvx.registry.contracts import require

# where `cached` keeps its results: an entry of the layer's __dict__ that is no field, nor part of its state
_REMEMBERED = "_remembered"
_MOST_REMEMBERED = 64

Kind = Literal["weight", "bias", "norm", "state"]
Arrays = Mapping[str, Array]


class Affine(NamedTuple):
    """``scale * (x - mean) + shift`` for each channel, in double precision."""

    scale: FloatArray
    mean: FloatArray
    shift: FloatArray


@dataclass(frozen=True)
class ParameterSpec:
    """An array that a layer asks for.

    Parameters
    ----------
    shape : tuple of int
    initializer : str, object or None
        Name or value from `pyconvx.initializers`; None leaves it to the network.
    fan_in, fan_out : int
        Inputs that an output cell sums, and outputs that an input cell reaches.
    kind : {"weight", "bias", "norm", "state"}
        Weights decay; state is no parameter and is written by forward passes in training.
    """

    shape: Shape
    initializer: object = None
    fan_in: int = 1
    fan_out: int = 1
    kind: Kind = "weight"


@dataclass(frozen=True)
class Layer:
    """Base of the built-in layers, and a convenience for plugins.

    A subclass is a frozen dataclass whose fields hold numbers, strings, None, tuples and other values;
    sequences become tuples, NumPy's numbers Python's. It defines `output_shape`, `forward` and `backward`, and
    what else differs from the defaults here. Shapes are those of one sample: (H, W, C) or (features,).
    """

    def __post_init__(self) -> None:
        """Turn sequences into tuples, so that the value can be hashed; reject flags and numbers of other types."""
        for name, kind in field_types(type(self)).items():
            value = as_tuples(getattr(self, name))
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if (kind is bool and not isinstance(value, bool)) or (kind is float and not number):
                raise TypeError(f"{type(self).__name__}: {name} must be a {kind.__name__}, got {value!r}")
            if kind is float and math.isinf(require_real(name, value)):
                raise ValueError(f"{type(self).__name__}: {name} must be finite, got {value!r}")
            object.__setattr__(self, name, value)

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields, without what was remembered."""
        return {key: value for key, value in self.__dict__.items() if key != _REMEMBERED}

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of one output sample; raise ValueError if the input does not fit."""
        raise NotImplementedError

    def parameters(self, input_shape: Shape) -> dict[str, ParameterSpec]:
        """Return what arrays the layer needs for inputs of this shape."""
        return {}

    def forward(self, x: FloatArray, params: Arrays, context: Context) -> tuple[FloatArray, Any]:
        """Return the output for a batch, and what `backward` needs again."""
        raise NotImplementedError

    def backward(
        self, dy: FloatArray, cache: Any, params: Arrays, grads: Arrays, context: Context
    ) -> FloatArray | None:
        """Add to the gradients of the parameters; return that of the input, None without needs_dx.

        A frozen parameter has no entry in `grads`.
        """
        raise NotImplementedError

    def window(self, input_shape: Shape) -> Window | None:
        """Return the window that slides over the input; None for a layer that looks at single cells."""
        return None

    def multiplications(self, input_shape: Shape) -> int:
        """Count the multiply-adds of a forward pass of one sample, padding included."""
        return 0

    def fewest_rows(self, input_shape: Shape) -> int:
        """Return the rows that a batch needs for the layer to learn; more than 1 if it compares them."""
        return 1

    def parts(self) -> tuple[tuple[Layer, ...], ...]:
        """Return the paths of layers that this one is made of, each beginning at its input."""
        return ()

    def path_names(self) -> tuple[str, ...]:
        """Return what stands before the names of the layers on each of the `parts`; "" for nothing."""
        return tuple("skip" if i else "" for i in range(len(self.parts())))

    def with_parts(self, parts: tuple[tuple[Layer, ...], ...]) -> Layer:
        """Return this layer with other layers on its paths."""
        raise NotImplementedError

    def resolved(self) -> Layer:
        """Return this layer with objects in place of names, as a network uses it."""
        return self

    def epilogue(self) -> Epilogue | None:
        """Return what this layer adds to the layer before it if both run together; None if it runs on its own."""
        return None

    def takes(self, epilogue: Epilogue) -> bool:
        """Return whether `forward` may be given this epilogue as one more argument.

        It then returns the epilogue's result, and its cache is a tuple whose second item is what the
        derivative of the activation follows from; `backward` gets dy with that derivative in it.
        """
        return False

    def affine(self, params: Arrays) -> Affine | None:
        """Return the affine map of each channel that this layer is in predictions; None if it is none."""
        return None

    def absorb(self, params: Arrays, affine: Affine) -> tuple[Layer, dict[str, Array]] | None:
        """Return a layer and parameters that also apply an affine map to the outputs, or None."""
        return None


def verify_layer(layer: object) -> None:
    """Raise TypeError unless a layer, or the class of one, has the methods of the contract."""
    for method in (Layer.output_shape, Layer.parameters, Layer.forward, Layer.backward):
        if isinstance(layer, type):
            if not callable(getattr(layer, method.__name__, None)):
                raise TypeError(f"{layer!r} has no method {method.__name__}")
        else:
            require(layer, method)


registry: Registry[type[Layer]] = Registry("pyconvx.layers", verify_layer, instantiate=False)


def has_capability(layer: Any, name: str) -> bool:
    """Return whether a layer has this method, and not from a class whose `forward` a subclass has replaced."""
    for kind in type(layer).__mro__:
        if name in vars(kind):
            return True
        if "forward" in vars(kind):
            return False
    return False


def expect_flat(layer: Layer, shape: Shape) -> int:
    """Return the number of features, or raise an error that shows the layer."""
    if len(shape) != 1:
        raise ValueError(
            f"{type(layer).__name__} expected flat samples, got shape {shape}: put Flatten() before it"
        )
    return shape[0]


F = TypeVar("F", bound=Callable[..., Any])


def cached(function: F) -> F:
    """Remember the results of a function of a layer and a shape: they are needed at every step."""

    @functools.wraps(function)
    def look_up(layer: Layer, *arguments: Any) -> Any:
        known = layer.__dict__.setdefault(_REMEMBERED, {})
        key = function, arguments
        if key not in known:
            if len(known) >= _MOST_REMEMBERED:
                known.clear()
            result = known[key] = function(layer, *arguments)
            return result
        return known[key]

    return look_up  # type: ignore[return-value]
