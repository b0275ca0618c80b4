"""The check of architectures: layers for a shape, which fit together and learn, without an output layer."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import clone

from pyconvx import activations
from pyconvx._core.types import Shape
from pyconvx.architectures import registry
from pyconvx.layers import Activation, Dense, Flatten, Layer, verify_layer
from pyconvx.layers.sequence import output_shapes
from pyconvx.network import Memory, Network
from pyconvx.registry.guard import unguarded
from pyconvx.testing._common import call, check_pickle, expect, subject

__all__ = ["check_architecture"]

ROWS = 3
OUTPUTS = 2
OTHER_AXES = {2: (9, 8, 1), 3: (9, 2)}


def check_architecture(plugin: object, input_shape: Shape | None = None) -> None:
    """Check that an architecture keeps its contract.

    Parameters
    ----------
    plugin : str or object
        A registered name, an architecture, or a class of them that needs no arguments.
    input_shape : tuple of int, optional
        Shape of one sample, (H, W, C) or (L, C); by default the one that it is made for. A small one is checked
        sooner.

    Raises
    ------
    AssertionError
        If `layers` returns anything but layers, or others when asked again, from a pickled copy or from a clone;
        if they do not fit together, or end in an activation for outputs; if a network of them gives NaN or
        infinity, or some parameter gets no gradient; if samples with another number of axes cause an error other
        than ValueError; if scikit-learn's `clone` loses its parameters, or it cannot be pickled.
    PluginError
        For a name that cannot be looked up.
    """
    made, who = subject(registry, plugin)
    shape = tuple(made.made_for if input_shape is None else input_shape)
    copy = check_pickle(made, who)
    cloned = call(who, "sklearn.base.clone", clone, made, safe=False)
    layers = _layers(made, who, shape)
    for what, other in (("when asked again", made), ("from a pickled copy", copy), ("from a clone", cloned)):
        expect(_layers(other, who, shape) == layers, who, f"layers{shape} returned other layers {what}")
    shapes = call(who, f"layers{shape}: their shapes", output_shapes, layers, shape)
    last = layers[-1]
    function = unguarded(activations.registry.resolve(last.activation)) if isinstance(last, Activation) else None
    outputs = isinstance(function, (activations.Softmax, activations.LogSoftmax))
    expect(not outputs, who, f"the layers end with {last}: leave the output layer to the estimator")
    _check_other_axes(made, who, shape)
    flat = () if len(shapes[-1]) == 1 else (Flatten(),)
    _check_learning((*layers, *flat, Dense(OUTPUTS)), who, shape)


def _layers(made: Any, who: str, shape: Shape) -> tuple[Layer, ...]:
    """Return the layers for a shape, after their checks."""
    found = call(who, f"layers{shape}", made.layers, shape)
    listed = isinstance(found, (list, tuple)) and len(found) > 0
    expect(listed, who, f"layers{shape} returned {found!r}, expected a sequence of layers")
    for layer in found:
        call(who, f"layers{shape} returned {layer!r}: its check", verify_layer, layer)
        expect(not isinstance(layer, type), who, f"layers{shape} returned the class {layer!r}: call it")
    return tuple(found)


def _check_other_axes(made: Any, who: str, shape: Shape) -> None:
    """Check that signals for images, and images for signals, are taken or refused with a ValueError."""
    other = OTHER_AXES[len(shape)]
    try:
        output_shapes(made.layers(other), other)
    except ValueError:
        pass
    except Exception as error:
        expect(False, who, f"layers{other} raised {type(error).__name__}: {error}; expected ValueError")


def _check_learning(layers: tuple[Layer, ...], who: str, shape: Shape) -> None:
    """Check that outputs are finite and that every trainable parameter gets a gradient."""
    network: Network = call(who, "a network of its layers", Network, layers, shape)
    rng, memory, tape = np.random.default_rng(0), Memory(), list[Any]()
    x = rng.standard_normal((ROWS, *shape)).astype(network.dtype)
    context = network.context(True, memory.kept, 1)
    y = call(who, "forward", network.forward, x, context, memory, tape)
    expect(bool(np.isfinite(y).all()), who, "a network of its layers gives NaN or infinity")
    flat, named = network.gradients()
    dy = rng.standard_normal(y.shape).astype(network.dtype)
    call(who, "backward", network.backward, dy, tape, named, context, memory)
    expect(bool(np.isfinite(flat).all()), who, "its gradients are NaN or infinite")
    for layer, arrays in named.items():
        for name, array in arrays.items():
            expect(bool(array.any()), who, f"{layer}.{name} gets no gradient: nothing reaches the output from it")
