"""Activations that are a pair of C functions in a capsule, and so run inside the fused kernels.

Here they run on whole arrays; inside a convolution or dense layer the kernel calls them row by row. The
contents of a capsule are described in pyconvx/include/pyconvx/activation.h.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pyconvx._core.arrays import as_floats
from pyconvx._core.threads import resolve_threads
from pyconvx._core.types import FloatArray
from pyconvx.activations._arrays import as_triple
from pyconvx.ops import capsules, elementwise

DEFAULT_INITIALIZER = "he_uniform"
# He's variance makes up for the half that a ReLU cuts off. Functions that are nearly the identity around 0 lose
# nothing. The fixed point of selu (mean 0, variance 1) was derived for LeCun's variance.
INITIALIZERS = {
    "identity": "xavier_uniform",
    "softsign": "xavier_uniform",
    "tanh": "xavier_uniform",
    "sigmoid": "xavier_uniform",
    "hard_sigmoid": "xavier_uniform",
    "hard_tanh": "xavier_uniform",
    "selu": "lecun_normal",
}


class _OverCapsule:
    """Implements forward and backward with the C functions in ``self.capsule``."""

    name: str
    initializer: str

    @property
    def capsule(self) -> Any:
        """PyCapsule named ``pyconvx.activation.v1``."""
        raise NotImplementedError

    @property
    def from_output(self) -> bool:
        """Whether the derivative follows from y, so that backward does not need x."""
        return bool(capsules.flags(self.capsule) & capsules.FROM_OUTPUT)

    @property
    def non_decreasing(self) -> bool:
        """Whether x <= x' implies f(x) <= f(x'), so that f may run after a max pool instead of before it."""
        return bool(capsules.flags(self.capsule) & capsules.NON_DECREASING)

    def forward(self, x: npt.ArrayLike, *, n_threads: int | None = 1) -> FloatArray:
        """Apply the function to each number.

        Parameters
        ----------
        x : array of float32 or float64, any shape
        n_threads : int or None, default=1
            None means all that the process may use. The result does not depend on it.

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
        elementwise.activate(self.capsule, array.reshape(-1), y.reshape(-1), resolve_threads(n_threads))
        return y

    def backward(
        self, dy: npt.ArrayLike, x: npt.ArrayLike, y: npt.ArrayLike, *, n_threads: int | None = 1
    ) -> FloatArray:
        """Return the gradient with respect to x, from the gradient with respect to y.

        Parameters
        ----------
        dy : array of float32 or float64, any shape
        x, y : arrays of the shape and dtype of dy
            Input and output of `forward`; only one of them is read, see ``from_output``.
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
        grad, x, y = as_triple(self.name, dy, x, y)
        dx = np.empty(grad.shape, grad.dtype)
        v = y if self.from_output else x
        threads = resolve_threads(n_threads)
        elementwise.activate_backward(self.capsule, v.reshape(-1), grad.reshape(-1), dx.reshape(-1), threads)
        return dx


@dataclass(frozen=True)
class CompiledActivation(_OverCapsule):
    """A built-in activation, which compares, hashes and pickles by its name.

    Parameters
    ----------
    name : str
        One of ``identity relu leaky_relu relu6 elu selu gelu gelu_tanh silu hard_swish mish softplus softsign
        tanh sigmoid hard_sigmoid hard_tanh``.

    Raises
    ------
    ValueError
        For another name.
    """

    name: str

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or self.name not in capsules.NAMES:
            raise ValueError(f"no compiled activation {self.name!r}; there are {', '.join(capsules.NAMES)}")

    @property
    def initializer(self) -> str:  # type: ignore[override]
        """Name of the kernel initializer that suits it."""
        return INITIALIZERS.get(self.name, DEFAULT_INITIALIZER)

    @property
    def capsule(self) -> Any:
        """PyCapsule named ``pyconvx.activation.v1``."""
        return capsules.capsule(self.name)


@dataclass(frozen=True)
class CapsuleActivation(_OverCapsule):
    """Adds forward and backward to a plugin that has only a capsule.

    Parameters
    ----------
    plugin : object
        An object with a valid ``capsule``. Pickling this activation pickles the plugin.
    """

    plugin: Any

    @property
    def name(self) -> str:  # type: ignore[override]
        """The plugin's ``name``, else the name of its class."""
        name = getattr(self.plugin, "name", None)
        return name if isinstance(name, str) else type(self.plugin).__name__

    @property
    def initializer(self) -> str:  # type: ignore[override]
        """The plugin's ``initializer``, else he_uniform."""
        return str(getattr(self.plugin, "initializer", DEFAULT_INITIALIZER))

    @property
    def capsule(self) -> Any:
        """PyCapsule of the plugin."""
        return self.plugin.capsule
