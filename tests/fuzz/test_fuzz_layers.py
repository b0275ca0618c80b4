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
ARGUMENTS = {
    "Conv2D": {"filters": COUNT, "groups": odd(st.integers(1, 2)), **SIZE, **WINDOW},
    "DepthwiseConv2D": {"multiplier": COUNT, **SIZE, **WINDOW},
    "SeparableConv2D": {"filters": COUNT, "multiplier": COUNT, **SIZE, **WINDOW},
    "MaxPool2D": {**POOL, "dilation": odd(small_pairs(1, 2))},
    "AvgPool2D": {**POOL, "count_include_pad": odd(st.booleans())},
    "Dense": {"units": COUNT, "bias": odd(st.booleans())},
    "BatchNorm": {"eps": real_numbers, "momentum": real_numbers},
    "Dropout": {"rate": real_numbers},
    "Flatten": {},
    "GlobalAvgPool2D": {},
}
RULES = {
    "filters": int_fault,
    "groups": int_fault,
    "multiplier": int_fault,
    "units": int_fault,
    "kernel_size": pair_fault,
    "pool_size": pair_fault,
}
RANGES = {"eps": {"above": 0}, "momentum": {"least": 0, "below": 1}, "rate": {"least": 0, "below": 1}}


def argument_faults(values):
    """Return what is wrong with the fields of a layer."""
    values = {name: held(value) for name, value in values.items()}
    faults = [f for name in RULES.keys() & values.keys() for f in RULES[name](name, values[name], 1)]
    if "padding" in values:
        faults += spelling_faults(
            {k: v for k, v in values.items() if not (k == "stride" and v is None)}
            | {"stride": 1 if values["stride"] is None and "pool_size" in values else values["stride"]}
        )
    for name in {"bias", "ceil_mode", "count_include_pad"} & values.keys():
        faults += switch_fault(name, values[name])
    for name in RANGES.keys() & values.keys():
        faults += real_fault(name, values[name], **RANGES[name])
    if not faults and "groups" in values and int(values["filters"]) % int(values["groups"]):
        faults += [("groups", str(int(values["groups"])), str(int(values["filters"])))]
    return faults


def held(value):
    """Convert lists to tuples and NumPy's numbers to Python's."""
    if isinstance(value, (list, tuple)):
        return tuple(held(item) for item in value)
    single = isinstance(value, np.generic) or (isinstance(value, np.ndarray) and not value.ndim)
    return value.item() if single else value


SAMPLE = st.one_of(
    st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 6)), st.tuples(st.integers(1, 40))
)


REFUSALS = [("exceeds the padded input",), ("must be less than",), ("has no tap",), ("expected",)]


@st.composite
def layer_arguments(draw):
    """Draw the name of a layer and its arguments, some of them illegal."""
    name = draw(st.sampled_from(sorted(ARGUMENTS)))
    return name, {key: draw(strategy) for key, strategy in ARGUMENTS[name].items()}


@fuzz(*(f"layers.{name}" for name in ARGUMENTS), weight=5, case=layer_arguments(), shape=SAMPLE)
def test_layer_arguments(case, shape):
    name, values = case
    layer = outcome(lambda: getattr(layers, name)(**values), argument_faults(values))
    if layer is None:
        return
    assert pickle.loads(pickle.dumps(layer)) == layer
    assert hash(layer) == hash(pickle.loads(pickle.dumps(layer)))
    expected = shape_behind(layer, shape)
    found = outcome(lambda: layer.output_shape(shape), [] if expected else REFUSALS)
    assert found == expected
