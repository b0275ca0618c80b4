"""The check of layers: shapes, dtypes, gradients, what they may write, threads, training and inference."""

from typing import Any

import numpy as np

from pyconvx._core.types import Shape
from pyconvx.initializers import registry as initializers
from pyconvx.layers import ParameterSpec, registry, verify_layer
from pyconvx.testing._common import (
    DTYPES,
    STEP,
    Array,
    call,
    central_differences,
    check_gradient,
    check_pickle,
    expect,
)
from pyconvx.testing._layer_subject import Subject, slopes

__all__ = ["check_layer"]

ROWS = 3
ELEMENTWISE = 150  # arrays of at most this size are differentiated element by element
LARGE = 160_000  # numbers in a batch that is large enough for several threads
KINDS = ("weight", "bias", "norm", "state")


def check_layer(plugin: object, input_shape: Shape = (6, 5, 4)) -> None:
    """Check that a layer keeps its contract.

    Parameters
    ----------
    plugin : str or object
        A layer, or the registered name or class of one that needs no arguments.
    input_shape : tuple of int, default=(6, 5, 4)
        Shape of one sample, (H, W, C) or (features,). Keep it small: gradients are compared with central
        differences.

    Raises
    ------
    AssertionError
        For outputs of another shape than announced; parameters that are not a ParameterSpec; wrong
        gradients (float64, central differences); another dtype; inputs, parameters or dy that are written;
        gradients that are overwritten instead of added to; a dx without ``needs_dx``, or gradients that
        depend on it; other bits in a second run, on two or three threads or from a pickled copy; memory
        that is read before it is written; state that is written outside training; predictions of a row
        that depend on its batch; a value that is not hashable, or does not equal its copy.
    PluginError
        For a name that cannot be looked up.
    """
    layer, who = _made(plugin)
    copy = check_pickle(layer, who)
    _check_value(layer, copy, who)
    shape = tuple(input_shape)
    specs = _check_specs(layer, who, shape)
    params, states = _arrays(specs)
    subject = Subject(layer, who, params, states)
    for dtype in DTYPES:
        _check_shapes(subject, _points((ROWS, *shape)).astype(dtype))
    _check_agreement(subject, _points((ROWS, *shape)))
    _check_bits(subject, Subject(copy, who, params, states), _points((ROWS, *shape)))
    _check_threads(subject, shape)
    _check_accumulation(subject, _points((ROWS, *shape)))
    _check_inference(subject, _points((ROWS, *shape)))
    _check_gradients(subject, _points((ROWS, *shape)))


def _made(plugin: object) -> tuple[Any, str]:
    """Return the layer that a name, class or object means, and what messages call it."""
    who = f"layer {plugin!r}"
    layer: Any = registry.get(plugin) if isinstance(plugin, str) else plugin
    if isinstance(layer, type):
        layer = call(who, "without arguments its class", layer)
    call(who, "the check of its methods", verify_layer, layer)
    return layer, who


def _check_value(layer: Any, copy: Any, who: str) -> None:
    """Check that the layer is a value: hashable, and equal to its copy."""
    expect(copy == layer, who, "does not equal its pickled copy: make it a frozen dataclass")
    first = call(who, "hash", hash, layer)
    expect(hash(copy) == first, who, "has another hash than its pickled copy")


def _check_specs(layer: Any, who: str, shape: Shape) -> dict[str, ParameterSpec]:
    """Return the parameters that the layer announces, after their checks."""
    specs = call(who, "parameters", layer.parameters, shape)
    expect(isinstance(specs, dict), who, f"parameters returned {type(specs).__name__}, not a dict")
    for name, spec in specs.items():
        expect(isinstance(name, str) and bool(name), who, f"parameters has the name {name!r}, not a str")
        expect(isinstance(spec, ParameterSpec), who, f"parameters has {name}={spec!r}, not a ParameterSpec")
        sizes = isinstance(spec.shape, tuple) and all(isinstance(n, int) and n > 0 for n in spec.shape)
        expect(sizes, who, f"{name} has shape {spec.shape!r}, expected a tuple of positive ints")
        expect(spec.kind in KINDS, who, f"{name} has kind {spec.kind!r}, expected one of {', '.join(KINDS)}")
        fans = spec.fan_in >= 1 and spec.fan_out >= 1
        expect(fans, who, f"{name} has fans {spec.fan_in} and {spec.fan_out}, expected at least 1")
        if spec.initializer is not None:
            call(who, f"the initializer of {name}", initializers.resolve, spec.initializer)
    expect(specs == layer.parameters(shape), who, "parameters returns something else the second time")
    return dict(specs)


def _arrays(specs: dict[str, ParameterSpec]) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return random parameters, and states with their starting values."""
    rng = np.random.default_rng(3)
    params, states = {}, {}
    for name, spec in specs.items():
        if spec.kind != "state":
            params[name] = rng.standard_normal(spec.shape) / np.sqrt(spec.fan_in)
        else:
            start: Any = initializers.resolve(spec.initializer or "zeros")
            states[name] = np.asarray(start(spec.shape, spec.fan_in, spec.fan_out, rng), np.float64)
    return params, states


def _points(shape: Shape) -> Array:
    """Return random numbers from -2 to 2, none of them exactly at a kink, no two equal."""
    return np.random.default_rng(0).uniform(-2, 2, shape)


def _check_shapes(subject: Subject, x: Array) -> None:
    """Check shapes, dtypes and memory order of y and dx."""
    who, shape = subject.who, x.shape[1:]
    announced = call(who, "output_shape", subject.layer.output_shape, shape)
    expect(isinstance(announced, tuple), who, f"output_shape returned {announced!r}, not a tuple")
    result = subject.run(x)
    for what, array, expected in (("forward", result.y, (len(x), *announced)), ("backward", result.dx, x.shape)):
        expect(isinstance(array, np.ndarray), who, f"{what} returned {type(array).__name__}, not an ndarray")
        assert array is not None
        said = "output_shape says" if what == "forward" else "expected"
        expect(array.shape == expected, who, f"{what} returned shape {array.shape}, {said} {expected}")
        expect(array.dtype == x.dtype, who, f"{what} made {array.dtype} of {x.dtype}")
        expect(array.flags.c_contiguous, who, f"{what} returned an array that is not C-contiguous")
        expect(bool(np.isfinite(array).all()), who, f"{what} returned NaN or infinity ({x.dtype})")


def _check_agreement(subject: Subject, x: Array) -> None:
    """Check that float32 and float64 differ by rounding only."""
    x = x.astype(np.float32)
    single, double = subject.run(x), subject.run(x.astype(np.float64))
    pairs = [("y", single.y, double.y), ("dx", single.dx, double.dx)]
    pairs += [(f"the gradient of {name}", single.grads[name], double.grads[name]) for name in single.grads]
    for what, in_float32, in_float64 in pairs:
        assert in_float32 is not None
        assert in_float64 is not None
        largest = max(1.0, float(np.abs(in_float64).max(initial=0)))
        close = np.allclose(in_float32, in_float64, rtol=1e-3, atol=1e-4 * largest)
        expect(close, subject.who, f"{what} in float32 differs from float64 by more than rounding")


def _check_bits(subject: Subject, copy: Subject, x: Array) -> None:
    """Check that equal inputs give equal bits, also read-only ones, whatever the workspace held before."""
    who, first = subject.who, subject.run(x).bits()
    expect(first == subject.run(x).bits(), who, "a second run gives other bits")
    clean = first == subject.run(x, litter=np.nan).bits()
    expect(clean, who, "reads workspace memory that it did not write")
    expect(first == copy.run(x).bits(), who, "a pickled copy gives other bits")
    frozen = x.copy()
    frozen.flags.writeable = False
    expect(first == subject.run(frozen).bits(), who, "a read-only input gives other bits")


def _check_threads(subject: Subject, shape: Shape) -> None:
    """Check that one, two and three threads give equal bits."""
    x = _points((max(17, 1 + LARGE // int(np.prod(shape))), *shape))
    alone = subject.run(x).bits()
    for n in (2, 3):
        expect(alone == subject.run(x, n_threads=n).bits(), subject.who, f"{n} threads give other bits than one")


def _check_accumulation(subject: Subject, x: Array) -> None:
    """Check that gradients are added to, and that nothing but dx depends on ``needs_dx`` and on what is frozen."""
    who, once = subject.who, subject.run(x)
    again = subject.run(x, start=1.0)
    for name, grad in once.grads.items():
        added = np.allclose(again.grads[name], grad + 1, rtol=1e-9, atol=1e-9)
        expect(added, who, f"backward overwrites the gradient of {name} instead of adding to it")
    without = subject.run(x, needs_dx=False)
    expect(without.dx is None, who, "backward returned a dx without needs_dx, expected None")
    for name, grad in once.grads.items():
        same = np.array_equal(grad, without.grads[name])
        expect(same, who, f"the gradient of {name} depends on needs_dx")
    frozen = subject.run(x, frozen=True)
    assert frozen.dx is not None
    assert once.dx is not None
    expect(np.array_equal(frozen.dx, once.dx), who, "dx depends on whether the parameters are frozen")


def _check_inference(subject: Subject, x: Array) -> None:
    """Check that outside training no state is written, and that rows do not affect one another."""
    who, whole = subject.who, subject.run(x, training=False)
    for name, state in whole.states.items():
        same = np.array_equal(state, subject.states[name])
        expect(same, who, f"forward writes the state {name} outside training")
    expect(whole.y.shape == subject.run(x).y.shape, who, "forward gives another shape outside training")
    part = subject.run(x[1:2].copy(), training=False)
    alike = np.allclose(whole.y[1:2], part.y, rtol=1e-9, atol=1e-12)
    expect(alike, who, "the prediction of a row depends on the rest of its batch")


def _check_gradients(subject: Subject, x: Array) -> None:
    """Compare dx and the gradient of every parameter with differences of sum(y * slopes), in float64."""
    result = subject.run(x)
    assert result.dx is not None
    weights = slopes(result.y.shape)

    def at(name: str, value: Array) -> float:
        if name == "dx":
            return float((subject.run(value).y * weights).sum())
        other = Subject(subject.layer, subject.who, subject.params | {name: value}, subject.states)
        return float((other.run(x).y * weights).sum())

    for name, gradient in {"dx": result.dx, **result.grads}.items():
        value = x if name == "dx" else subject.params[name]
        what = "backward: dx" if name == "dx" else f"backward: the gradient of {name}"
        _check_directions(subject.who, what, name, gradient, value, at)
        if value.size <= ELEMENTWISE:
            expected = central_differences(lambda v, name=name: at(name, v), value)  # type: ignore[misc]
            check_gradient(subject.who, what, gradient, expected, value)


def _check_directions(who: str, what: str, name: str, gradient: Array, value: Array, at: Any) -> None:
    """Compare the slopes along three random directions."""
    for seed in range(3):
        direction = np.random.default_rng(seed).standard_normal(value.shape)
        direction /= np.sqrt((direction**2).sum())
        expected = (at(name, value + STEP * direction) - at(name, value - STEP * direction)) / (2 * STEP)
        slope = float((gradient * direction).sum())
        close = abs(slope - expected) <= 1e-6 * max(1.0, abs(expected))
        expect(close, who, f"{what} is wrong: slope {slope:.9g}, central differences give {expected:.9g}")
