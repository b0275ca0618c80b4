"""The classic filters with arbitrary arguments, compared with the oracle."""

import numpy as np
import oracle
from fuzz_geometry import Windows
from fuzz_pictures import BAD, IMAGES, SEEDS, pictures, spoil
from fuzzing import (
    OTHERS,
    PADDINGS,
    Unchanged,
    fuzz,
    lay,
    layouts,
    odd,
    of_other_dtype,
    outcome,
    padding_fault,
    threads_fault,
)
from hypothesis import strategies as st

from pyconvx.filters import KERNELS, FilterBank, apply_filter, get_kernel

NAMES = st.one_of(
    *[st.lists(st.sampled_from(sorted(KERNELS)), min_size=1, max_size=3)] * 9,
    st.sampled_from([(), "sobel_x", ("nope",), (3,), None, 5]),
)


@fuzz(
    "filters.FilterBank",
    weight=3,
    names=NAMES,
    padding=odd(PADDINGS),
    shape=IMAGES,
    seed=SEEDS,
    layout=layouts,
    how=st.sampled_from(BAD),
    dtype=st.sampled_from(["f4", "f8", "u1", "f2", "g"]),
    n_jobs=st.one_of(st.none(), st.integers(1, 3), odd()),
)
def test_filter_bank(names, padding, shape, seed, layout, how, dtype, n_jobs):
    X, _ = pictures(shape, seed, dtype)
    wrong, faults = spoil(X, how)
    legal = isinstance(names, (tuple, list)) and names and all(name in KERNELS for name in names)
    faults += [] if legal else [("names", repr(names)), ("no kernel is named", "nope")]
    faults += threads_fault(n_jobs, "n_jobs") + padding_fault(padding)
    if not padding_fault(padding):
        w = Windows(shape[1:3], (3, 3), {"stride": 1, "padding": padding})
        faults += w.faults()
        if max(w.padded) > 2**20:
            faults += [("too large",)]
    bank = FilterBank(names, padding=padding, n_jobs=n_jobs)
    with Unchanged(wrong):
        y = outcome(lambda: bank.fit(lay(layout, wrong)).transform(lay(layout, wrong)), faults)
    if y is None:
        return
    kernels = np.tile(np.stack([KERNELS[name] for name in names], 2), shape[3])[:, :, None]
    expected = oracle.conv2d(X, kernels, padding=w.padding, groups=shape[3]).reshape(len(X), -1)
    slack = 1e-4 * max(1, np.abs(np.float64(X)).max())
    np.testing.assert_allclose(y, expected, rtol=0, atol=slack)
    assert len(bank.get_feature_names_out()) == y.shape[1]


OWN = [
    np.ones((2, 3)),
    [[1, 2], [3, 4]],
    np.ones((2, 2)) * 1j,
    np.ones(3),
    [["a"]],
    np.ones((0, 2)),
    None,
    3,
    [[10**400]],
    [[1e300]],
    np.ones((2, 2), bool),
    [[np.nan]],
    np.ones((2, 2), "g"),
    [[1], [2, 3]],
]


@fuzz(
    "filters.apply_filter",
    "filters.get_kernel",
    weight=3,
    kernel=st.one_of(st.sampled_from(sorted(KERNELS)), st.sampled_from([*OWN, "nope"])),
    padding=odd(PADDINGS),
    shape=st.lists(st.integers(1, 6), min_size=1, max_size=5),
    seed=SEEDS,
    layout=layouts,
    code=st.sampled_from(["f4", "f8", "u1", "f2", *OTHERS]),
)
def test_apply_filter(kernel, padding, shape, seed, layout, code):
    rng = np.random.default_rng(seed)
    image = (
        rng.integers(0, 5, shape).astype(code)
        if code in ("f4", "f8", "u1", "f2")
        else of_other_dtype(np.ones(shape), code)
    )
    faults = padding_fault(padding)
    if np.dtype(code).kind not in "buif":
        faults += [("image", str(image.dtype))]
    if image.ndim not in (2, 3, 4):
        faults += [("image", str(image.shape))]
    if isinstance(kernel, str):
        wrong = kernel not in KERNELS
    else:
        wrong = not any(kernel is OWN[i] for i in (0, 1, 9, 10, 11, 12))
    faults += [("kernel",)] if wrong else []
    double = np.dtype(code) == np.float64
    if kernel is OWN[9] and not double:
        faults += [("kernel", "float32")]
    w = None
    if not wrong and not padding_fault(padding) and image.ndim in (2, 3, 4):
        taps = np.array(KERNELS[kernel] if isinstance(kernel, str) else kernel, float)
        size = image.shape if image.ndim == 2 else image.shape[-3:-1]
        w = Windows(size, taps.shape, {"stride": 1, "padding": padding})
        faults += w.faults()
        if max(w.padded) > 2**20:
            faults += [("too large",)]
    y = outcome(lambda: apply_filter(lay(layout, image), kernel, padding=padding), faults)
    if y is None or not np.isfinite(taps).all() or taps.max() > 1e20:
        return
    channels = {2: image[None, ..., None], 3: image[None], 4: image}[image.ndim]
    kernels = np.repeat(taps[:, :, None, None], channels.shape[3], 3)
    expected = oracle.conv2d(channels, kernels, padding=w.padding, groups=channels.shape[3])
    np.testing.assert_allclose(y, expected.reshape(y.shape), rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(get_kernel(kernel), kernel if not isinstance(kernel, str) else KERNELS[kernel])
