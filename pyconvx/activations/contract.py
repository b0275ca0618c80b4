"""What an object must have to be an activation, and the registry that checks it.

Only attributes are looked at; whether values and gradients are right, ``pyconvx.testing.check_activation`` finds
out.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from pyconvx._core.types import FloatArray
from pyconvx.activations.compiled import DEFAULT_INITIALIZER, CapsuleActivation
from pyconvx.exceptions import PluginError
from pyconvx.ops import capsules
from pyconvx.registry import Registry
from pyconvx.registry.contracts import require, written


@runtime_checkable
class Activation(Protocol):
    """Maps arrays of any shape, float32 or float64, to arrays of the same shape and dtype; inputs stay unchanged.

    Optional are ``initializer``, the name of the kernel initializer that suits it (he_uniform if absent), and
    ``capsule``, with which it runs inside the kernels and needs neither method.
    """

    def forward(self, x: FloatArray, /) -> FloatArray:
        """Return y = f(x)."""
        ...

    def backward(self, dy: FloatArray, x: FloatArray, y: FloatArray, /) -> FloatArray:
        """Return dx from dy; y is the output of forward for x."""
        ...


def verify(activation: object) -> None:
    """Reject an object that the layers could not use.

    Parameters
    ----------
    activation : object
        It needs ``forward(x)`` and ``backward(dy, x, y)``, or a capsule ``pyconvx.activation.v1``, or both.

    Raises
    ------
    PluginError
        For a capsule or an initializer of another kind than expected.
    TypeError
        For methods that are missing or take other arguments, with both signatures.
    """
    capsule = getattr(activation, "capsule", None)
    if capsule is not None:
        try:
            capsules.check_capsule(capsule)
        except TypeError as error:
            raise PluginError(f"{activation!r}.capsule: {error}") from None
    for method in (Activation.forward, Activation.backward):
        if getattr(activation, method.__name__, None) is not None:
            require(activation, method)
        elif capsule is None:
            raise TypeError(
                f"{activation!r} is no activation: it has no {written(method)} and no capsule {capsules.TAG!r}"
            )
    initializer = getattr(activation, "initializer", DEFAULT_INITIALIZER)
    if not isinstance(initializer, str):
        raise PluginError(f"{activation!r}.initializer must be an initializer's name, got {initializer!r}")


def initializer_of(activation: object) -> str:
    """Return the name of the kernel initializer that suits an activation; he_uniform if it names none."""
    return str(getattr(activation, "initializer", DEFAULT_INITIALIZER))


class ActivationRegistry(Registry[Activation]):
    """A registry that adds the array methods to a plugin with nothing but a capsule."""

    def get(self, name: str) -> Activation:
        """Return the activation of a name; see `Registry.get`."""
        return _complete(super().get(name))

    def verified(self, value: object) -> Activation:
        """Return the activation that a name, class or object means; see `Registry.verified`."""
        return _complete(super().verified(value))


def _complete(activation: Any) -> Activation:
    """Return the activation, or if it lacks an array method one that uses its capsule."""
    if hasattr(activation, "forward") and hasattr(activation, "backward"):
        return activation  # type: ignore[no-any-return]
    return CapsuleActivation(activation)
