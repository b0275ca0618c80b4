"""The array functions with arbitrary arguments: equal to the oracle, or refused with the name and the value."""

import math

import numpy as np
import oracle
from fuzz_geometry import FEW, Windows, is_on, spelling_faults
from fuzzing import (
    PADDINGS,
    THREADS,
    Unchanged,
    array_fault,
    assert_close,
    both,
    fuzz,
    int_fault,
    lay,
    layouts,
    numbers,
    odd,
    outcome,
    padding_fault,
    pair_fault,
    plain,
    small_pairs,
    spoilt,
    switch_fault,
    threads_fault,
)
from hypothesis import assume
from hypothesis import strategies as st

from pyconvx import ops

# ------------------------------------------------------------------------------------ output sizes


@fuzz(
    "ops.conv_output_size",
    weight=4,
    size=odd(st.integers(1, 40)),
    kernel_size=odd(st.integers(1, 6)),
    stride=odd(st.integers(1, 6)),
    padding=odd(st.one_of(small_pairs(0, 6), st.sampled_from(["same", "valid", "x"]))),
    dilation=odd(st.integers(1, 4)),
    ceil_mode=odd(st.booleans()),
)
def test_conv_output_size(size, kernel_size, padding, ceil_mode, **steps):
    given = {"size": size, "kernel_size": kernel_size, **steps}
    faults = [fault for name, value in given.items() for fault in int_fault(name, value, 1)]
    faults += (padding_fault if isinstance(padding, str) else pair_fault)(*spelt("padding", padding))
    expected = None
    if not faults:
        n, k = int(size), int(kernel_size)
        sides = plain(padding) if isinstance(padding, str) else (both(padding),) * 2
        w = Windows((n, n), (k, k), {"padding": sides, **steps}, is_on(ceil_mode))
        expected = w.out[0]
        if not expected:
            faults = [("kernel_size", str(k), str(w.padded[0]))]
        elif is_on(ceil_mode):  # as for pools, whose windows see some of the data
            assume(max(w.padding[0]) < w.dilation[0] * (k - 1) + 1)
    faults += switch_fault("ceil_mode", ceil_mode)
    with_keywords = {"padding": padding, "ceil_mode": ceil_mode, **steps}
    got = outcome(lambda: ops.conv_output_size(size, kernel_size, **with_keywords), faults)
    assert got == (None if faults else expected)


def spelt(name, padding):
    """Return the arguments of the check for a form of a parameter."""
    return (padding,) if isinstance(padding, str) else (name, padding, 0)


# ------------------------------------------------------------------------------------- convolution


@st.composite
def convolutions(draw):
    """Draw numbers, arrays and options of a convolution, some of them illegal."""
    filled = draw(numbers)
    N, H, W = draw(st.integers(0, 3)), *draw(st.tuples(st.integers(1, 7), st.integers(1, 7)))
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    if draw(st.integers(0, 7)) == 0:  # what Winograd's way takes
        groups, C, OC, taps = 1, draw(st.integers(16, 18)), draw(st.integers(16, 18)), (3, 3)
    else:
        C, OC = groups * draw(st.integers(1, 4)), groups * draw(st.integers(1, 4))
        taps = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    x = filled.array(N, H * draw(SELDOM_0), W, C)
    kernel = filled.array(*taps, C // groups + draw(SELDOM_1), OC, special=False)
    if draw(st.integers(0, 19)) == 0:
        kernel = kernel.astype({4: np.float64, 8: np.float32}[filled.dtype.itemsize])
    options = {name: draw(strategy) for name, strategy in GEOMETRY.items()}
    return filled, draw(spoilt(x)), draw(spoilt(kernel)), options | {"groups": draw(odd(st.just(groups)))}


SELDOM_0 = st.sampled_from([1] * 30 + [0])
SELDOM_1 = st.sampled_from([0] * 30 + [1])
GEOMETRY = {"stride": odd(small_pairs(1, 3)), "padding": odd(PADDINGS), "dilation": odd(small_pairs(1, 3))}


def convolution_faults(x, kernel, options):
    """Return what is wrong with a convolution, its windows, and whether its result is too large for memory."""
    faults = array_fault("x", x, 4) + array_fault("kernel", kernel, 4, from_axis=0)
    arrays_fit = not faults
    faults += int_fault("groups", options["groups"], 1)
    spelling = spelling_faults(options)
    faults += spelling
    if arrays_fit and x.dtype != kernel.dtype:
        faults.append(("x is", "kernel is", str(x.dtype), str(kernel.dtype)))
    if not arrays_fit or int_fault("groups", options["groups"], 1):
        return faults, None, False
    groups, C, (KH, KW, inputs, OC) = int(options["groups"]), x.shape[3], kernel.shape
    if C % groups or OC % groups:
        faults.append((f"groups={groups}", str(C), str(OC)))
    elif inputs * groups != C:
        faults.append((str(kernel.shape), str(x.shape), f"groups={groups}"))
    if spelling:
        return faults, None, False
    w = Windows(x.shape[1:3], (KH, KW), options)
    return faults + w.faults(), w, is_huge((len(x), *w.out, OC), (*w.padded, C))


def is_huge(result, padded=()):
    """Return whether a result is larger than any memory, or its indices than any integer."""
    return math.prod(result) >= 2**38 or math.prod(padded) > 2**57


def geometry(w, options):
    """Return the arguments of the oracle."""
    found = {"stride": w.stride, "padding": w.padding, "dilation": w.dilation}
    return found | {"groups": int(options["groups"])}


@fuzz(
    "ops.conv2d", weight=9, case=convolutions(), n_threads=THREADS, layout=layouts,
    bias=st.sampled_from(["none", "right", "right", "other dtype", "too long", "2-D"]),
)  # fmt: skip
def test_conv2d(case, n_threads, layout, bias):
    filled, x, kernel, options = case
    faults, w, huge = convolution_faults(x, kernel, options)
    faults += threads_fault(n_threads)
    offsets = None if bias == "none" else filled.array(kernel.shape[-1] + (bias == "too long"), special=False)
    if bias == "other dtype":
        offsets = offsets.astype({4: np.float64, 8: np.float32}[filled.dtype.itemsize])
    offsets = offsets[None] if bias == "2-D" else offsets
    if bias not in ("none", "right"):
        faults += [("bias",)]
    elif bias == "right" and not kernel.shape[-1]:
        faults += [("kernel", str(kernel.shape))]
    arguments = [lay(layout, a) for a in (x, kernel)]
    with Unchanged(x, kernel, offsets):
        y = outcome(lambda: ops.conv2d(*arguments, offsets, n_threads=n_threads, **options), faults, huge)
    if y is None:
        return
    found = geometry(w, options)
    with np.errstate(all="ignore"):
        expected = oracle.conv2d(x, kernel, offsets, **found)
        scale = oracle.conv2d(np.abs(x), np.abs(kernel), None if offsets is None else np.abs(offsets), **found)
    assert_close(y, expected, scale, filled.dtype, filled.exact, spreads=spreads(x, kernel))


def spreads(x, kernel):
    """Return whether NaN and infinity may reach further than the taps, as docs/internals/kernels.md says."""
    mixed = kernel.shape[:2] == (3, 3) and min(kernel.shape[2:]) >= 16 and kernel.dtype == np.float32
    return mixed and not (np.isfinite(x).all() and np.isfinite(kernel).all())


@fuzz("ops.conv2d_backward", weight=6, case=convolutions(), n_threads=THREADS, layout=layouts, wrong=SELDOM_1)
def test_conv2d_backward(case, n_threads, layout, wrong):
    filled, x, kernel, options = case
    faults, w, huge = convolution_faults(x, kernel, options)
    faults += threads_fault(n_threads)
    assume(not huge)
    shape = (2, 2, 2, 2) if faults and w is None else (len(x), *w.out, kernel.shape[3])
    dy = filled.array(*(max(size, 0) for size in shape[:3]), shape[3] + wrong, special=False)
    if wrong or w is None:
        faults += [("dy", str(dy.shape))]
    if 0 in dy.shape[1:]:
        faults += [("dy", "zero dimension")]
    arguments = [lay(layout, a) for a in (dy, x, kernel)]
    with Unchanged(dy, x, kernel):
        found = outcome(lambda: ops.conv2d_backward(*arguments, n_threads=n_threads, **options), faults)
    if found is None:
        return
    exact = geometry(w, options)
    with np.errstate(all="ignore"):
        expected = oracle.conv2d_backward(dy, x, kernel, **exact)
        scale = oracle.conv2d_backward(*map(np.abs, (dy, x, kernel)), **exact)
    for got, right, size in zip(found, expected, scale, strict=True):
        assert_close(got, right, size, filled.dtype, filled.exact, spreads=spreads(x, kernel))


# ------------------------------------------------------------------------------------------- pools

POOLING = GEOMETRY | {"stride": odd(st.one_of(st.none(), small_pairs(1, 4))), "ceil_mode": odd(st.booleans())}


@st.composite
def pools(draw, kind):
    """Draw numbers, images, the pool's size and options, some of them illegal."""
    filled = draw(numbers)
    N, H, W, C = draw(st.tuples(st.integers(0, 3), st.integers(1, 8), st.integers(1, 8), st.integers(1, 19)))
    x = filled.array(N, H * draw(SELDOM_0), W, C)
    options = {name: draw(strategy) for name, strategy in POOLING.items()}
    if kind == "avg":
        del options["dilation"]
        options["count_include_pad"] = draw(odd(st.booleans()))
    return filled, x, draw(odd(small_pairs(1, 4))), options


def pool_faults(shape, pool_size, options, faults):
    """Return what is wrong with a pool, its windows, and whether its result is too large for memory."""
    faults = faults + pair_fault("pool_size", pool_size, 1)
    size_fits = not pair_fault("pool_size", pool_size, 1)
    options = dict(options)
    if options["stride"] is None:
        options["stride"] = pool_size if size_fits else 1
    spelling = spelling_faults(options)
    faults += spelling
    for name in ("ceil_mode", "count_include_pad"):
        faults += switch_fault(name, options.get(name, False))
    if spelling or not size_fits or len(shape) != 4 or 0 in shape[1:]:
        return faults, None, False
    w = Windows(shape[1:3], both(pool_size), options, is_on(options["ceil_mode"]))
    found = w.faults() or w.empty_faults()
    if math.prod(w.kernel_size) > (2**57 if "count_include_pad" in options else 2**31):
        found.append(("a window of {}x{} is too large".format(*w.kernel_size),))
    return faults + found, w, is_huge((shape[0], *w.out, shape[3]))


def pooled(function, case, n_threads, layout, data):
    """Return the pool's result and its windows; None if it refuses, or the oracle would take too long."""
    _, x, pool_size, options = case
    x = data.draw(spoilt(x))
    faults = array_fault("x", x, 4) + threads_fault(n_threads)
    faults, w, _ = pool_faults(() if array_fault("x", x, 4) else x.shape, pool_size, options, faults)
    given = lay(layout, x)
    with Unchanged(x):
        found = outcome(lambda: function(given, pool_size, n_threads=n_threads, **options), faults)
    return x, (None if found is None or math.prod(w.kernel_size) > FEW else found), w


@fuzz("ops.max_pool2d", weight=5, case=pools("max"), n_threads=THREADS, layout=layouts, data=st.data())
def test_max_pool2d(case, n_threads, layout, data):
    filled, _, _, options = case
    x, found, w = pooled(ops.max_pool2d, case, n_threads, layout, data)
    if found is None:
        return
    y, argmax = oracle.max_pool2d(x, w.kernel_size, w.stride, w.padding, w.dilation, bool(options["ceil_mode"]))
    np.testing.assert_array_equal(found[0], y)
    np.testing.assert_array_equal(found[1], argmax)
    assert (found[0].dtype, found[1].dtype) == (filled.dtype, np.int64)


@fuzz("ops.avg_pool2d", weight=5, case=pools("avg"), n_threads=THREADS, layout=layouts, data=st.data())
def test_avg_pool2d(case, n_threads, layout, data):
    filled, _, _, options = case
    x, found, w = pooled(ops.avg_pool2d, case, n_threads, layout, data)
    if found is None:
        return
    switches = bool(options["ceil_mode"]), bool(options["count_include_pad"])
    with np.errstate(all="ignore"):
        y = oracle.avg_pool2d(np.float64(x), w.kernel_size, w.stride, w.padding, *switches)
        scale = math.prod(w.kernel_size) * np.abs(np.float64(x)).max(initial=0, where=np.isfinite(x))
    assert_close(found, y, scale, filled.dtype)


@fuzz("ops.avg_pool2d_backward", weight=4, case=pools("avg"), n_threads=THREADS, layout=layouts, data=st.data())
def test_avg_pool2d_backward(case, n_threads, layout, data):
    filled, x, pool_size, options = case
    shape_faults, shape = data.draw(input_shapes(x.shape))
    faults = shape_faults + threads_fault(n_threads)
    faults, w, _ = pool_faults(() if shape_faults else x.shape, pool_size, options, faults)
    assume(w is None or max(math.prod(w.out), math.prod(w.kernel_size)) < FEW)
    out = (1, 1) if w is None else tuple(max(n, 1) for n in w.out)
    dy = filled.array(len(x), *out, x.shape[3], special=False)
    dy, wrong = data.draw(wrong_gradient(dy))
    faults += wrong
    if w is None and not faults:
        faults += [("input_shape",), ("dy",)]
    given = lay(layout, dy)
    with Unchanged(dy):
        dx = outcome(
            lambda: ops.avg_pool2d_backward(given, shape, pool_size, n_threads=n_threads, **options), faults
        )
    if dx is None:
        return
    expected = oracle.avg_pool2d_backward(
        np.float64(dy), x.shape, w.kernel_size, w.stride, w.padding, bool(options["count_include_pad"])
    )
    assert_close(dx, expected, math.prod(w.kernel_size) * np.abs(dy).max(initial=0), filled.dtype)


def input_shapes(shape):
    """Return a strategy: what is wrong with a form of this shape, and the form."""
    right = [shape, list(shape), np.array(shape), tuple(map(np.int32, shape))]
    wrong = [
        (5, "5"), (None, "None"), (shape[1:], str(shape[1:])), ((*shape, 1), str((*shape, 1))),
        ((*shape[:3], 2**40), str(2**40)), ((*shape[:3], -1), "-1"), ((*shape[:3], 2.0), "2.0"),
        ((*shape[:2], True, 1), "True"), ((shape[0] + 1, *shape[1:]), str((shape[0] + 1, *shape[1:]))),
    ]  # fmt: skip
    faults = [("input_shape", "0")] if 0 in shape[1:] else []
    legal = st.sampled_from(right).map(lambda value: (faults, value))
    illegal = st.sampled_from(wrong).map(lambda pair: ([*faults, ("input_shape", pair[1])], pair[0]))
    return st.one_of(*[legal] * 9, illegal)


def wrong_gradient(dy):
    """Return a strategy: the gradient, or a wrong one and what is wrong with it."""
    other = np.concatenate([dy, dy[:, :1]], axis=1)
    wrong = [(dy.astype(code), [("dy", str(np.dtype(code)))]) for code in ("f2", "i4", "c16", "O")]
    wrong += [(dy[0] if len(dy) else dy[..., 0], [("dy", "axes")]), (other, [("dy", str(other.shape))])]
    return st.one_of(*[st.just((dy, []))] * 9, st.sampled_from(wrong))


@fuzz("ops.max_pool2d_backward", weight=4, filled=numbers, layout=layouts, n_threads=THREADS, data=st.data())
def test_max_pool2d_backward(filled, layout, n_threads, data):
    integer = st.integers(1, 4)
    N, H, W, C = data.draw(st.tuples(st.integers(0, 3), integer, integer, st.integers(1, 9)))
    OH, OW = data.draw(st.tuples(integer, integer))
    low, high = data.draw(st.sampled_from([(0, H * W)] * 9 + [(-1, H * W), (0, H * W + 1)]))
    dtype = data.draw(st.sampled_from(["i8"] * 6 + ["i1", "u1", "i4", ">i8", "u8"]))
    argmax = filled.rng.integers(low, high, (N, OH, OW, C)).astype(dtype if low == 0 else "i8")
    faults = threads_fault(n_threads)
    if argmax.size and not 0 <= argmax.min() <= argmax.max() < H * W:
        faults += [("argmax", f"0..{H * W - 1}", f"{argmax.min()}..{argmax.max()}")]
    wrong = [(argmax.astype("f8"), "float64"), (argmax[..., None], str((N, OH, OW, C, 1)))]
    wrong += [(argmax.astype(bool), "bool"), (np.ma.masked_array(argmax), "masked"), (None, "object")]
    argmax, why = data.draw(st.one_of(*[st.just((argmax, ""))] * 9, st.sampled_from(wrong)))
    faults += [("argmax", why)] if why else []
    shape_faults, shape = data.draw(input_shapes((N, H, W, C)))
    dy, wrong = data.draw(wrong_gradient(filled.array(N, OH, OW, C, special=False)))
    faults += shape_faults + wrong
    if wrong:
        faults += [("argmax", str(dy.shape))]
    places = argmax if why else layout(argmax)
    with Unchanged(dy, argmax):
        dx = outcome(lambda: ops.max_pool2d_backward(lay(layout, dy), places, shape, n_threads=n_threads), faults)
    if dx is not None:
        expected = oracle.max_pool2d_backward(np.float64(dy), argmax.astype(int), (N, H, W, C))
        assert_close(dx, expected, OH * OW * np.abs(dy).max(initial=0), filled.dtype, filled.exact)


@fuzz("ops.global_avg_pool2d", weight=2, case=pools("avg"), n_threads=THREADS, layout=layouts, data=st.data())
def test_global_avg_pool2d(case, n_threads, layout, data):
    filled, x = case[0], data.draw(spoilt(case[1]))
    faults = array_fault("x", x, 4) + threads_fault(n_threads)
    given = lay(layout, x)
    with Unchanged(x):
        y = outcome(lambda: ops.global_avg_pool2d(given, n_threads=n_threads), faults)
    if y is not None:
        with np.errstate(all="ignore"):
            expected = oracle.global_avg_pool2d(x)
        scale = x[0].size * np.abs(np.float64(x)).max(where=np.isfinite(x), initial=0) if len(x) else 0.0
        assert_close(y, expected, scale, filled.dtype)


@fuzz(
    "ops.global_avg_pool2d_backward", weight=2, case=pools("avg"), n_threads=THREADS, layout=layouts,
    data=st.data(),
)  # fmt: skip
def test_global_avg_pool2d_backward(case, n_threads, layout, data):
    filled, x = case[:2]
    faults, shape = data.draw(input_shapes(x.shape))
    dy = filled.array(len(x), x.shape[3], special=False)
    dy, wrong = data.draw(wrong_gradient(dy))
    faults = faults + wrong + threads_fault(n_threads)
    with Unchanged(dy):
        dx = outcome(lambda: ops.global_avg_pool2d_backward(lay(layout, dy), shape, n_threads=n_threads), faults)
    if dx is not None:
        expected = np.broadcast_to(dy[:, None, None] / np.float64(x.shape[1] * x.shape[2]), x.shape)
        assert_close(dx, expected, np.abs(dy).max(initial=0), filled.dtype)
