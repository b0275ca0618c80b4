"""Layers and networks with arbitrary arguments: errors, shapes, outputs compared with the oracle, gradients."""

import pickle

import numpy as np
from fuzz_geometry import spelling_faults
from fuzz_layers import shape_behind
from fuzzing import (
    PADDINGS,
    fuzz,
    int_fault,
    odd,
    outcome,
    padding_fault,
    pair_fault,
    real_fault,
    real_numbers,
    small_pairs,
    switch_fault,
)
from hypothesis import strategies as st

from pyconvx import layers

# --------------------------------------------------------------------------------------- arguments

COUNT = odd(st.integers(1, 8))
WINDOW = {"stride": odd(small_pairs(1, 3)), "padding": odd(PADDINGS), "dilation": odd(small_pairs(1, 3))}
POOL = {
    "pool_size": odd(small_pairs(1, 3)),
    "stride": odd(st.one_of(st.none(), small_pairs(1, 3))),
    "padding": odd(PADDINGS),
    "ceil_mode": odd(st.booleans()),
}
SIZE = {"kernel_size": odd(small_pairs(1, 3)), "bias": odd(st.booleans())}
LENGTH = st.one_of(st.integers(1, 3), st.integers(1, 3).map(lambda n: (n,)))
ENDS = st.one_of(
    st.integers(0, 3),
    st.tuples(st.integers(0, 3), st.integers(0, 3)),
    st.sampled_from(["same", "valid", "SAME", "", (0, -1), (1,), (1, 2, 3), [0, 2]]),
)
POOL_1D = {
    "pool_size": odd(LENGTH),
    "stride": odd(st.one_of(st.none(), LENGTH)),
    "padding": odd(ENDS),
    "ceil_mode": odd(st.booleans()),
}
ARGUMENTS = {
    "Conv2D": {"filters": COUNT, "groups": odd(st.integers(1, 2)), **SIZE, **WINDOW},
    "DepthwiseConv2D": {"multiplier": COUNT, **SIZE, **WINDOW},
    "SeparableConv2D": {"filters": COUNT, "multiplier": COUNT, **SIZE, **WINDOW},
    "MaxPool2D": {**POOL, "dilation": odd(small_pairs(1, 2))},
    "AvgPool2D": {**POOL, "count_include_pad": odd(st.booleans())},
    "Conv1D": {
        "filters": COUNT,
        "groups": odd(st.integers(1, 2)),
        "kernel_size": odd(LENGTH),
        "bias": odd(st.booleans()),
        "stride": odd(LENGTH),
        "padding": odd(ENDS),
        "dilation": odd(LENGTH),
    },
    "MaxPool1D": {**POOL_1D, "dilation": odd(LENGTH)},
    "AvgPool1D": {**POOL_1D, "count_include_pad": odd(st.booleans())},
    "GlobalAvgPool1D": {},
    "GlobalMaxPool1D": {},
    "GlobalMaxPool2D": {},
    "Dense": {"units": COUNT, "bias": odd(st.booleans())},
    "BatchNorm": {"eps": real_numbers, "momentum": real_numbers},
    "Dropout": {"rate": real_numbers},
    "Flatten": {},
    "GlobalAvgPool2D": {},
    "SqueezeExcite": {"ratio": COUNT},
    "Bottleneck": {"filters": COUNT, "expansion": COUNT, "projection": st.sampled_from([None, True, False])},
}
RULES = {
    "filters": int_fault,
    "groups": int_fault,
    "multiplier": int_fault,
    "ratio": int_fault,
    "expansion": int_fault,
    "units": int_fault,
    "kernel_size": pair_fault,
    "pool_size": pair_fault,
}
RANGES = {"eps": {"above": 0}, "momentum": {"least": 0, "below": 1}, "rate": {"least": 0, "below": 1}}


def length_fault(name, value, least):
    """Return what a refusal of a size along a signal says."""
    single = isinstance(value, tuple) and len(value) == 1
    return int_fault(name, value[0] if single else value, least)


def ends_fault(value):
    """Return what a refusal of padding at the ends of a signal says."""
    if isinstance(value, str):
        return padding_fault(value)
    sides = value if isinstance(value, tuple) else (value,)
    if not 1 <= len(sides) <= 2:
        return [("padding", repr(value))]
    return [fault for side in sides for fault in int_fault("padding", side, 0)]


def signal_faults(values):
    """Return what is wrong with the windows of a layer of signals."""
    sizes = {"kernel_size", "pool_size", "stride", "dilation"} & values.keys()
    faults = [fault for name in sizes for fault in length_fault(name, values[name], 1)]
    return faults + ends_fault(values["padding"])


def argument_faults(layer, values):
    """Return what is wrong with the fields of a layer."""
    values = {name: held(value) for name, value in values.items()}
    windows = values | {"stride": 1} if values.get("stride", 1) is None and "pool_size" in values else values
    if "padding" in values and layer.endswith("1D"):
        faults = signal_faults(windows)
        faults += [f for name in {"filters", "groups"} & values.keys() for f in int_fault(name, values[name], 1)]
    else:
        faults = [f for name in RULES.keys() & values.keys() for f in RULES[name](name, values[name], 1)]
        faults += spelling_faults(windows) if "padding" in values else []
    for name in {"bias", "ceil_mode", "count_include_pad"} & values.keys():
        faults += switch_fault(name, values[name])
    for name in RANGES.keys() & values.keys():
        faults += real_fault(name, values[name], **RANGES[name])
    if not faults and "groups" in values and int(values["filters"]) % int(values["groups"]):
        faults += [("groups", str(int(values["groups"])), str(int(values["filters"])))]
    return faults


def held(value):
    """Convert sequences to tuples and NumPy's numbers to Python's."""
    if isinstance(value, np.ndarray) and value.ndim:
        return held(value.tolist())
    if isinstance(value, (list, tuple)):
        return tuple(held(item) for item in value)
    single = isinstance(value, np.generic) or (isinstance(value, np.ndarray) and not value.ndim)
    return value.item() if single else value


SAMPLE = st.one_of(
    st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 6)),
    st.tuples(st.integers(1, 9), st.integers(1, 6)),
    st.tuples(st.integers(1, 40)),
)


REFUSALS = [
    ("exceeds the padded input",),
    ("must be less than",),
    ("has no tap",),
    ("expected",),
    ("the block gives",),
]


@st.composite
def layer_arguments(draw):
    """Draw the name of a layer and its arguments, some of them illegal."""
    name = draw(st.sampled_from(sorted(ARGUMENTS)))
    return name, {key: draw(strategy) for key, strategy in ARGUMENTS[name].items()}


@fuzz(*(f"layers.{name}" for name in ARGUMENTS), weight=5, case=layer_arguments(), shape=SAMPLE)
def test_layer_arguments(case, shape):
    name, values = case
    layer = outcome(lambda: getattr(layers, name)(**values), argument_faults(name, values))
    if layer is None:
        return
    assert pickle.loads(pickle.dumps(layer)) == layer
    assert hash(layer) == hash(pickle.loads(pickle.dumps(layer)))
    expected = shape_behind(layer, shape)
    found = outcome(lambda: layer.output_shape(shape), [] if expected else REFUSALS)
    assert found == expected
