"""Plans of kernels: their arrays are checked, their scratch suffices, and they may be run again and again."""

import itertools

import numpy as np
import pytest
from plans import scratch_of

from pyconvx._ext import (
    activations,
    avg_pool,
    batch_norm,
    conv,
    conv_gradient,
    conv_input,
    conv_winograd,
    dense,
    max_pool,
)
from pyconvx.ops.conv_plan import ConvPlan
from pyconvx.ops.dense_plan import DensePlan
from pyconvx.ops.geometry import window

DTYPES = [np.float32, np.float64]
X, FILTERS, TAPS = (3, 7, 6, 8), 5, window("test", (7, 6), (3, 3), padding=1)
KERNEL, MAP, POOL = (3, 3, 8, 5), (3, 7, 6, 5), window("test", (7, 6), (2, 2), stride=2)
MAXIMA = (3, 3, 3, 5)
# shapes of the arrays that a run takes, in order; written ones after a >, optional ones with a ?
FORWARD = {"x": X, "kernel": KERNEL, "bias?": (5,), ">y": MAP, ">activated?": MAP}
BACKWARD = {"x": X, "dy": MAP, ">dkernel": KERNEL}
ROWS, WEIGHTS, SUMS = (4, 9), (9, 6), (4, 6)
OUTPUTS = {"x": ROWS, "weights": WEIGHTS, "bias?": (6,), ">y": SUMS, ">activated?": SUMS}


def pooled(arrays):
    """Return the same with maxima in place of the map."""
    return {name: MAXIMA if shape == MAP else shape for name, shape in arrays.items()}


SLIDING, MEANS = window("test", (7, 6), (3, 2), stride=2, padding=1), (3, 4, 4, 8)
POOLED, IMAGES, FACTORS = (X, SLIDING), (3, 7, 5), {"mean": (5,), "scale": (5,), "shift": (5,)}
# (plan, its sizes before itemsize and threads, the arrays of a run and the activation)
PLANS = {
    "ConvForward": (conv.ConvForward, (X, FILTERS, TAPS, 1, None), FORWARD | {"winner": None, "f": "tanh"}),
    "ConvForward, pool": (
        conv.ConvForward, (X, FILTERS, TAPS, 1, POOL), pooled(FORWARD) | {">winner": MAXIMA, "f": "tanh"},
    ),
    "ConvInput": (
        conv_input.ConvInput, (X, FILTERS, TAPS, 1, None), {"dy": MAP, "kernel": KERNEL, ">dx": X, "winner": None},
    ),
    "ConvInput, pool": (
        conv_input.ConvInput, (X, FILTERS, TAPS, 1, POOL),
        {"dy": MAXIMA, "kernel": KERNEL, ">dx": X, "winner": MAXIMA},
    ),
    "ConvKernel": (conv_gradient.ConvKernel, (X, FILTERS, TAPS, 1, None), BACKWARD | {"winner": None}),
    "ConvKernel, pool": (
        conv_gradient.ConvKernel, (X, FILTERS, TAPS, 1, POOL), pooled(BACKWARD) | {"winner": MAXIMA},
    ),
    "BiasGradient": (conv_gradient.BiasGradient, (MAP,), {"dy": MAP, ">dbias": (5,)}),
    "WinogradForward": (
        conv_winograd.WinogradForward, (X, FILTERS, TAPS, None), FORWARD | {"winner": None, "f": "tanh"},
    ),
    "WinogradForward, pool": (
        conv_winograd.WinogradForward, (X, FILTERS, TAPS, POOL),
        pooled(FORWARD) | {">winner": MAXIMA, "f": "tanh"},
    ),
    "WinogradBackward": (
        conv_winograd.WinogradBackward, (X, FILTERS, TAPS, POOL),
        {"x": X, "dy": MAXIMA, "kernel": KERNEL, ">dkernel?": KERNEL, ">dx?": X, "winner": MAXIMA},
    ),
    "MaxPool.forward": (max_pool.MaxPool, POOLED, {"x": X, ">y": MEANS, ">winner": MEANS}),
    "MaxPool.backward": (max_pool.MaxPool, POOLED, {"dy": MEANS, "winner": MEANS, ">dx": X}),
    "AvgPool.forward": (avg_pool.AvgPool, (*POOLED, True), {"x": X, ">y": MEANS}),
    "AvgPool.backward": (avg_pool.AvgPool, (*POOLED, False), {"dy": MEANS, ">dx": X}),
    "BatchNorm.apply": (
        batch_norm.BatchNorm, IMAGES, {"x": IMAGES, **FACTORS, ">y": IMAGES, ">activated?": IMAGES, "f": "tanh"},
    ),
    "DenseForward": (dense.DenseForward, (4, 9, 6), OUTPUTS | {"f": "tanh"}),
    "DenseInput": (dense.DenseInput, (4, 9, 6), {"dy": SUMS, "weights": WEIGHTS, ">dx": ROWS}),
    "DenseWeights": (dense.DenseWeights, (4, 9, 6), {"x": ROWS, "dy": SUMS, ">dweights": WEIGHTS}),
}  # fmt: skip


def made(name, dtype, threads=1):
    """Return what runs a plan, and legal arguments for it by name."""
    plan, sizes, arrays = PLANS[name]
    rng, arguments = np.random.default_rng(0), {}
    for argument, shape in arrays.items():
        if argument == "f":
            arguments[argument] = activations.capsule(shape)
        elif shape is None:
            arguments[argument] = None
        elif "winner" in argument:
            arguments[argument] = rng.integers(0, 4, shape).astype(np.uint8)
        else:
            arguments[argument] = rng.standard_normal(shape).astype(dtype)
    plan = plan(*sizes, *after(name, np.dtype(dtype).itemsize), threads)
    scratch = {"scratch": scratch_of(plan.scratch, dtype)} if method_of(name) == "run" else {}
    return getattr(plan, method_of(name)), arguments | scratch


def after(name, itemsize):
    """Return what a plan takes between its sizes and the threads: the sizes of its numbers."""
    return (itemsize, 1) if name.startswith("MaxPool") else (itemsize,)


def method_of(name):
    """Return the method that is run."""
    return name.partition(".")[2] or "run"


def other(array):
    """Yield arrays that are nearly the one wanted: another type, shape, order or number of axes, or no array."""
    yield array.astype(np.int32 if array.dtype == np.uint8 else np.float16), ValueError
    yield array.astype(array.dtype.newbyteorder()) if array.itemsize > 1 else array.view(np.int8), ValueError
    yield array[None], ValueError
    for axis in range(array.ndim):
        yield np.concatenate([array, array.take([0], axis)], axis), ValueError
        yield np.ascontiguousarray(array.take(range(array.shape[axis] - 1), axis)), ValueError
    if array.ndim > 1:
        yield np.asfortranarray(array), ValueError
    yield np.repeat(array, 2, -1)[..., ::2], ValueError
    yield array.tolist(), TypeError
    yield None, TypeError


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", PLANS)
def test_other_arrays_are_refused(name, dtype):
    run, arguments = made(name, dtype)
    run(*arguments.values())
    for argument, array in arguments.items():
        if not isinstance(array, np.ndarray) or argument == "scratch":
            continue
        for value, error in other(array):
            if value is None and argument.endswith("?") and argument != ">activated?":
                continue
            with pytest.raises(error):
                run(*(arguments | {argument: value}).values())
        if argument.startswith(">"):
            fixed = array.copy()
            fixed.flags.writeable = False
            with pytest.raises(ValueError, match="read-only"):
                run(*(arguments | {argument: fixed}).values())


@pytest.mark.parametrize("name", PLANS)
def test_messages_name_both_shapes(name):
    run, arguments = made(name, np.float32)
    first = next(iter(arguments))
    value = np.zeros((1, 2), np.float64)
    with pytest.raises(ValueError, match=r"must have shape \(.*\) and hold float32, got \(1, 2\) of float64"):
        run(*(arguments | {first: value}).values())


@pytest.mark.parametrize("name", [name for name in PLANS if method_of(name) == "run"])
def test_scratch_is_checked(name):
    run, arguments = made(name, np.float32)
    scratch = arguments["scratch"]
    run(*(arguments | {"scratch": scratch_of(len(scratch) + 7, np.float32)}).values())
    short = [scratch[:-1]] if len(scratch) else []
    for value in [*short, scratch.astype(np.float64), scratch.reshape(1, -1)]:
        with pytest.raises(ValueError, match=f"scratch must hold {len(scratch)} numbers or more"):
            run(*(arguments | {"scratch": value}).values())


@pytest.mark.parametrize(("name", "dtype", "threads"), [*itertools.product(PLANS, DTYPES, [1, 3])])
def test_runs_do_not_depend_on_one_another(name, dtype, threads):
    """The same arrays give the same bits in every run, whatever scratch holds and whatever ran in between."""
    run, arguments = made(name, dtype, threads)
    expected = None
    for filling in (np.nan, np.inf, 0):
        arrays = {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in arguments.items()}
        if "scratch" in arrays:
            arrays["scratch"][...] = filling
        run(*arrays.values())
        found = [v.tobytes() for k, v in arrays.items() if k.startswith(">")]
        expected = expected or found
        assert found == expected
        for argument in arrays.values():  # other numbers in between
            if isinstance(argument, np.ndarray) and argument.dtype != np.uint8:
                argument[...] = np.nan
        run(*arrays.values())


@pytest.mark.parametrize("name", PLANS)
def test_no_samples(name):
    plan, sizes, _ = PLANS[name]
    _, arguments = made(name, np.float32)
    shapes = tuple((0, *size[1:]) if isinstance(size, tuple) else size for size in sizes)
    shapes = (0, *shapes[1:]) if isinstance(shapes[0], int) else shapes
    n = sizes[0][0] if isinstance(sizes[0], tuple) else sizes[0]
    for threads in (1, 4):
        empty = plan(*shapes, *after(name, 4), threads)
        scratch = {"scratch": np.empty(empty.scratch, np.float32)} if "scratch" in arguments else {}
        arrays = {
            k: v[:0] if isinstance(v, np.ndarray) and v.ndim > 1 and len(v) == n and "kernel" not in k else v
            for k, v in (arguments | scratch).items()
        }
        before = [v.tobytes() for v in arrays.values() if isinstance(v, np.ndarray)]
        getattr(empty, method_of(name))(*arrays.values())
        assert [v.tobytes() for v in arrays.values() if isinstance(v, np.ndarray)] == before


def test_an_activation_of_another_name_is_refused():
    run, arguments = made("ConvForward", np.float32)
    with pytest.raises(TypeError, match=r"expected a PyCapsule named 'pyconvx.activation.v1', got"):
        run(*(arguments | {"f": object()}).values())


def test_what_plans_say_of_themselves():
    plan = ConvPlan(X, FILTERS, TAPS, 1, np.float32, 2, POOL)
    assert (plan.kernel_shape, plan.output_shape, plan.winograd) == (KERNEL, MAXIMA, False)
    many = ConvPlan((2, 9, 9, 16), 16, window("test", (9, 9), (3, 3)), 1, np.float32, 2)
    assert many.winograd
    for each in (plan, many, DensePlan(4, 9, 6, np.float64, 2)):
        assert 0 < each.forward_scratch < 200_000
        assert 0 < each.backward_scratch < 200_000


def test_plans_take_one_thread_for_little_work():
    """Scratch of dx is one slab for each thread that works."""
    few, many = (DensePlan(n, 300, 70, np.float32, 3) for n in (7, 8))
    one = dense.DenseInput(8, 300, 70, 4, 1).scratch
    assert few.backward_scratch == one
    assert many.backward_scratch == dense.DenseInput(8, 300, 70, 4, 3).scratch > one
