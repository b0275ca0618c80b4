"""What an object must have to be an activation, and the registry that checks it.

Nothing is called here beyond ``capsule``: whether values and gradients are right is for
``pyconvx.testing.check_activation``.
"""

import inspect
from typing import Any, Protocol, runtime_checkable

from pyconvx._core.types import FloatArray
from pyconvx._ext import pointwise
from pyconvx.activations.compiled import DEFAULT_INITIALIZER, CapsuleActivation
from pyconvx.exceptions import PluginError
from pyconvx.registry import Registry

CONTRACT = {"forward": ("x",), "backward": ("dy", "x", "y")}


@runtime_checkable
class Activation(Protocol):
    """Arrays in, arrays out; float32 and float64, any shape, dtype kept, inputs unchanged.

    Optional: ``initializer``, the name of the kernel initializer that suits it (he_uniform if absent),
    and ``capsule``, with which it runs inside the kernels and needs neither method.
    """

    def forward(self, x: FloatArray, /) -> FloatArray:
        """Return y = f(x)."""
        ...

    def backward(self, dy: FloatArray, x: FloatArray, y: FloatArray, /) -> FloatArray:
        """Return dx from dy; y is what forward gave for x."""
        ...


def verify(activation: object) -> None:
    """Refuse what the layers could not use.

    Parameters
    ----------
    activation : object
        It needs ``forward(x)`` and ``backward(dy, x, y)``, or a capsule ``pyconvx.activation.v1``, or both.

    Raises
    ------
    PluginError
        With what is there and what was expected.
    """
    capsule = getattr(activation, "capsule", None)
    if capsule is not None:
        try:
            pointwise.check_capsule(capsule)
        except TypeError as error:
            raise PluginError(f"{activation!r}.capsule: {error}") from None
    for method, parameters in CONTRACT.items():
        found = getattr(activation, method, None)
        if found is not None:
            _check_method(activation, method, found, parameters)
        elif capsule is None:
            raise PluginError(
                f"{activation!r} is no activation: it has no {_written(method, parameters)} and no "
                f"capsule {pointwise.TAG!r}"
            )
    initializer = getattr(activation, "initializer", DEFAULT_INITIALIZER)
    if not isinstance(initializer, str):
        raise PluginError(f"{activation!r}.initializer must be an initializer's name, got {initializer!r}")


def initializer_of(activation: object) -> str:
    """Name of the kernel initializer that suits an activation; he_uniform where it names none."""
    return str(getattr(activation, "initializer", DEFAULT_INITIALIZER))


class ActivationRegistry(Registry[Activation]):
    """A registry whose look-ups add the array methods to a plugin that is only a capsule."""

    def get(self, name: str) -> Activation:
        """Return the activation of a name; see `Registry.get`."""
        return _complete(super().get(name))

    def resolve(self, value: object) -> Activation:
        """Return the activation that a name, class or object means; see `Registry.resolve`."""
        return _complete(super().resolve(value))


def _complete(activation: Any) -> Activation:
    if hasattr(activation, "forward") and hasattr(activation, "backward"):
        return activation  # type: ignore[no-any-return]
    return CapsuleActivation(activation)


def _check_method(activation: object, method: str, found: Any, parameters: tuple[str, ...]) -> None:
    """Refuse a method that cannot be called with the contract's arguments by position."""
    wanted = _written(method, parameters)
    if not callable(found):
        raise PluginError(f"{activation!r}.{method} must be a method {wanted}, got {found!r}")
    try:
        signature = inspect.signature(found)
    except ValueError:  # some compiled functions tell no signature
        return
    try:
        signature.bind(*parameters)
    except TypeError:
        raise PluginError(f"{activation!r} has {method}{signature}, an activation needs {wanted}") from None


def _written(method: str, parameters: tuple[str, ...]) -> str:
    return f"{method}({', '.join(parameters)})"
