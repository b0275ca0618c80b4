"""Activations that are a pair of C functions in a capsule, and so run inside the fused kernels.

On arrays they run here; inside a convolution or dense layer the kernel calls them row by row. What a
capsule holds is written in pyconvx/include/pyconvx/activation.h.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pyconvx._core.arrays import as_floats
from pyconvx._core.threads import resolve_threads
from pyconvx._core.types import FloatArray
from pyconvx._ext import pointwise
from pyconvx.activations._arrays import as_triple

DEFAULT_INITIALIZER = "he_uniform"
# He's variance makes up for the half that a ReLU cuts off; where f passes through 0 nearly as the identity
# nothing is to be made up for; selu's fixed point (mean 0, variance 1) was derived for LeCun's variance.
INITIALIZERS = {
    "identity": "xavier_uniform",
    "softsign": "xavier_uniform",
    "tanh": "xavier_uniform",
    "sigmoid": "xavier_uniform",
    "hard_sigmoid": "xavier_uniform",
    "selu": "lecun_normal",
}


class _OverCapsule:
    """forward and backward by way of ``self.capsule``."""

    name: str
    initializer: str

    @property
    def capsule(self) -> Any:
        """PyCapsule named ``pyconvx.activation.v1``."""
        raise NotImplementedError

    @property
    def from_output(self) -> bool:
        """Whether the derivative follows from y, so that x need not be kept."""
        return bool(pointwise.flags(self.capsule) & pointwise.FROM_OUTPUT)

    @property
    def non_decreasing(self) -> bool:
        """Whether x <= x' implies f(x) <= f(x'), so that f may follow a max pool instead of preceding it."""
        return bool(pointwise.flags(self.capsule) & pointwise.NON_DECREASING)

    def forward(self, x: npt.ArrayLike, *, n_threads: int | None = 1) -> FloatArray:
        """Apply the function to each number.

        Parameters
        ----------
        x : array of float32 or float64, any shape
        n_threads : int or None, default=1
            None takes all that the process may use. The result does not depend on it.

        Returns
        -------
        y : new array of the shape and dtype of x

        Raises
        ------
        TypeError
            For any other dtype.
        """
        array = as_floats(self.name, "x", x)
        y = np.empty(array.shape, array.dtype)
        pointwise.forward(self.capsule, array.reshape(-1), y.reshape(-1), resolve_threads(n_threads))
        return y

    def backward(
        self, dy: npt.ArrayLike, x: npt.ArrayLike, y: npt.ArrayLike, *, n_threads: int | None = 1
    ) -> FloatArray:
        """Gradient with respect to x, from the gradient with respect to y.

        Parameters
        ----------
        dy : array of float32 or float64, any shape
        x, y : arrays of the shape and dtype of dy
            What `forward` got and gave; it reads only one of them, see ``from_output``.
        n_threads : int or None, default=1

        Returns
        -------
        dx : new array of the shape and dtype of dy

        Raises
        ------
        TypeError
            For any other dtype, or different ones.
        ValueError
            If the shapes differ.
        """
        grad, before, after = as_triple(self.name, dy, x, y)
        dx = np.empty(grad.shape, grad.dtype)
        v = after if self.from_output else before
        threads = resolve_threads(n_threads)
        pointwise.backward(self.capsule, v.reshape(-1), grad.reshape(-1), dx.reshape(-1), threads)
        return dx


@dataclass(frozen=True)
class CompiledActivation(_OverCapsule):
    """A built-in activation; a value that compares, hashes and pickles by its name.

    Parameters
    ----------
    name : str
        One of ``identity relu leaky_relu relu6 elu selu gelu gelu_tanh silu hard_swish mish softplus softsign
        tanh sigmoid hard_sigmoid``.

    Raises
    ------
    ValueError
        For another name.
    """

    name: str

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or self.name not in pointwise.NAMES:
            raise ValueError(f"no compiled activation {self.name!r}; there are {', '.join(pointwise.NAMES)}")

    @property
    def initializer(self) -> str:  # type: ignore[override]
        """Name of the kernel initializer that suits it."""
        return INITIALIZERS.get(self.name, DEFAULT_INITIALIZER)

    @property
    def capsule(self) -> Any:
        """PyCapsule named ``pyconvx.activation.v1``."""
        return pointwise.capsule(self.name)


@dataclass(frozen=True)
class CapsuleActivation(_OverCapsule):
    """forward and backward for a plugin that has a capsule and nothing else.

    Parameters
    ----------
    plugin : object
        Something with a valid ``capsule``; pickling this pickles the plugin.
    """

    plugin: Any

    @property
    def name(self) -> str:  # type: ignore[override]
        """The plugin's ``name``, else its class's."""
        name = getattr(self.plugin, "name", None)
        return name if isinstance(name, str) else type(self.plugin).__name__

    @property
    def initializer(self) -> str:  # type: ignore[override]
        """The plugin's ``initializer``, else he_uniform."""
        return str(getattr(self.plugin, "initializer", DEFAULT_INITIALIZER))

    @property
    def capsule(self) -> Any:
        """The plugin's capsule."""
        return self.plugin.capsule
