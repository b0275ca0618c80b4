"""What a layer is: a frozen value that declares shapes and parameters and computes both directions.

A layer holds no arrays. The network owns all memory and hands parameters, gradients and a `Context` to
`forward` and `backward`; so one layer value may stand in many networks, and predicting from many threads
is safe.
"""

import dataclasses
import functools
import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from pyconvx._core.fields import field_types
from pyconvx._core.numbers import require_real
from pyconvx._core.threads import resolve_threads
from pyconvx._core.types import Array, FloatArray, Pair, Shape
from pyconvx._core.workspace import Workspace
from pyconvx._ext import random
from pyconvx.ops.geometry import Window
from pyconvx.registry import Registry
from pyconvx.registry.contracts import require

# where `cached` keeps its results: an entry of the layer's __dict__ that is no field, nor part of its state
_REMEMBERED = "_remembered"
_MOST_REMEMBERED = 64

Kind = Literal["weight", "bias", "norm", "state"]
Arrays = Mapping[str, Array]


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


@dataclass(slots=True)
class Context:
    """What a pass through the layers needs besides data and parameters.

    Parameters
    ----------
    training : bool
        Whether dropout drops, batch statistics are used and state is written.
    workspace : Workspace
        Where results are taken from; valid until the next step.
    n_threads : int
        Threads of the layers' loops, as `pyconvx.ops` take them.
    needs_dx : bool
        Whether backward has to return the gradient of its input.
    seed, epoch, samples
        Key of the random numbers: one int64 number per row of the batch in `samples`.
    states : mapping
        The state arrays that may be written, by full name.
    scope : str
        Prefix of the names of the layer that runs.
    """

    training: bool
    workspace: Workspace
    n_threads: int = 1
    needs_dx: bool = True
    seed: int = 0
    epoch: int = 0
    samples: npt.NDArray[np.int64] = dataclasses.field(default_factory=lambda: np.empty(0, np.int64))
    states: Mapping[str, Array] = dataclasses.field(default_factory=dict)
    scope: str = ""

    def __post_init__(self) -> None:
        self.n_threads = resolve_threads(self.n_threads)

    def within(self, name: str) -> "Context":
        """Return this context with the scope of an inner layer."""
        return self.at(f"{self.scope}{name}.", self.workspace, self.needs_dx)

    def at(self, scope: str, workspace: Workspace, needs_dx: bool) -> "Context":
        """Return this context for another layer: what `dataclasses.replace` does, several times as fast."""
        return Context(
            self.training, workspace, self.n_threads, needs_dx, self.seed, self.epoch, self.samples, self.states,
            scope,
        )  # fmt: skip

    def keys(self, purpose: str, rows: int) -> npt.NDArray[np.uint64]:
        """One key per row for random numbers that depend on seed, layer, purpose, epoch and sample only."""
        out: npt.NDArray[np.uint64] = self.workspace.take((rows,), np.uint64)
        samples = self.samples if len(self.samples) else np.arange(rows, dtype=np.int64)
        random.keys(self.seed, zlib.crc32(f"{self.scope}{purpose}".encode()), self.epoch, samples, out)
        return out

    def update_state(self, name: str, value: Array) -> None:
        """Write a state array of the layer that runs; what its type cannot hold becomes infinite."""
        with np.errstate(over="ignore"):
            self.states[self.scope + name][...] = value


def _frozen(value: Any) -> Any:
    """Lists as tuples, at any depth, and NumPy's numbers as Python's."""
    if isinstance(value, (list, tuple)):
        return tuple(_frozen(item) for item in value)
    single = isinstance(value, np.generic) or (isinstance(value, np.ndarray) and not value.ndim)
    return value.item() if single else value


@dataclass(frozen=True)
class Layer:
    """Base of the built-in layers, and a convenience for plugins.

    A subclass is a frozen dataclass whose fields hold numbers, strings, None, tuples and other values;
    lists become tuples, NumPy's numbers Python's. It defines `output_shape`, `forward` and `backward`, and
    what else differs from the defaults here. Shapes are those of one sample: (H, W, C) or (features,).

    Where ``takes_activation`` is set, `forward` may be given two more arguments: the capsule of a compiled
    activation to apply, and whether to keep the values before it. Second in its cache is what the derivative
    follows from.
    """

    takes_activation: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Turn lists into tuples, so that the value can be hashed; reject flags and numbers of another type."""
        for name, kind in field_types(type(self)).items():
            value = _frozen(getattr(self, name))
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if (kind is bool and not isinstance(value, bool)) or (kind is float and not number):
                raise TypeError(f"{type(self).__name__}: {name} must be a {kind.__name__}, got {value!r}")
            if kind is float and math.isinf(require_real(name, value)):
                raise ValueError(f"{type(self).__name__}: {name} must be finite, got {value!r}")
            object.__setattr__(self, name, value)

    def __getstate__(self) -> dict[str, Any]:
        """The fields."""
        return {key: value for key, value in self.__dict__.items() if key != _REMEMBERED}

    def output_shape(self, input_shape: Shape) -> Shape:
        """Shape of one output sample; ValueError where the input does not fit."""
        raise NotImplementedError

    def parameters(self, input_shape: Shape) -> dict[str, ParameterSpec]:
        """Arrays that the layer needs for inputs of this shape."""
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

    def view(self, input_shape: Shape) -> Window | None:
        """The window that slides over the input; None for a layer that looks at single pixels."""
        return None

    def multiplications(self, input_shape: Shape) -> int:
        """Multiply-adds of a forward pass of one sample, padding included."""
        return 0

    def parts(self) -> tuple[tuple["Layer", ...], ...]:
        """Paths of layers that this one is made of, each beginning at its input."""
        return ()


def verify_layer(layer: object) -> None:
    """Raise TypeError unless a layer, or the class of one, has the methods of the contract."""
    for method in (Layer.output_shape, Layer.parameters, Layer.forward, Layer.backward):
        if isinstance(layer, type):
            if not callable(getattr(layer, method.__name__, None)):
                raise TypeError(f"{layer!r} has no method {method.__name__}")
        else:
            require(layer, method)


registry: Registry[type[Layer]] = Registry("pyconvx.layers", verify_layer, instantiate=False)


def belongs_to_forward(layer: Any, name: str) -> bool:
    """Whether a layer has this attribute, and not from a class whose `forward` a subclass has replaced."""
    for kind in type(layer).__mro__:
        if name in vars(kind):
            return True
        if "forward" in vars(kind):
            return False
    return False


def expect_images(layer: Layer, shape: Shape) -> tuple[int, int, int]:
    """The shape as (H, W, C), or an error that shows the layer."""
    if len(shape) != 3:
        raise ValueError(f"{layer} expected images of shape (H, W, C), got samples of shape {shape}")
    return shape[0], shape[1], shape[2]


def expect_flat(layer: Layer, shape: Shape) -> int:
    """The number of features, or an error that shows the layer."""
    if len(shape) != 1:
        raise ValueError(f"{layer} expected flat samples, got shape {shape}: put Flatten() before it")
    return shape[0]


F = TypeVar("F", bound=Callable[..., Any])


def cached(function: F) -> F:
    """Remember results of a function of a layer and a shape with the layer: they are asked for at every step."""

    @functools.wraps(function)
    def look_up(layer: Layer, *arguments: Any) -> Any:
        known = layer.__dict__.setdefault(_REMEMBERED, {})
        key = function.__name__, arguments
        if key not in known:
            if len(known) >= _MOST_REMEMBERED:
                known.clear()
            result = known[key] = function(layer, *arguments)
            return result
        return known[key]

    return look_up  # type: ignore[return-value]


def both(value: int | Pair) -> Pair:
    """A checked size as a pair."""
    return value if isinstance(value, tuple) else (value, value)
