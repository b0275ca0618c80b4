"""Layers and networks under anything: arguments, shapes, outputs against the oracle, gradients."""

import pickle

import activation_oracles
import numpy as np
import oracle
from fuzz_geometry import Windows, is_on, spelling_faults
from fuzzing import (
    PADDINGS,
    both,
    fuzz,
    int_fault,
    odd,
    outcome,
    pair_fault,
    plain,
    real_fault,
    real_numbers,
    small_pairs,
    switch_fault,
)
from hypothesis import assume
from hypothesis import strategies as st
from nets import outputs, passes

from pyconvx import layers
from pyconvx._workspace import Workspace
from pyconvx.layers.sequence import below
from pyconvx.network import Memory, Network

# --------------------------------------------------------------------------------------- arguments

COUNT = odd(st.integers(1, 8))
WINDOW = {"stride": odd(small_pairs(1, 3)), "padding": odd(PADDINGS), "dilation": odd(small_pairs(1, 3))}
POOL = {"pool_size": odd(small_pairs(1, 3)), "stride": odd(st.one_of(st.none(), small_pairs(1, 3))),
        "padding": odd(PADDINGS), "ceil_mode": odd(st.booleans())}  # fmt: skip
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
    "filters": int_fault, "groups": int_fault, "multiplier": int_fault, "units": int_fault,
    "kernel_size": pair_fault, "pool_size": pair_fault,
}  # fmt: skip
RANGES = {"eps": {"above": 0}, "momentum": {"least": 0, "below": 1}, "rate": {"least": 0, "below": 1}}


def argument_faults(values):
    """What is wrong with the fields of a layer, as it holds them."""
    values = {name: held(value) for name, value in values.items()}
    faults = [f for name in RULES.keys() & values.keys() for f in RULES[name](name, values[name], 1)]
    if "padding" in values:
        faults += spelling_faults({k: v for k, v in values.items() if not (k == "stride" and v is None)} | {
            "stride": 1 if values["stride"] is None and "pool_size" in values else values["stride"]})  # fmt: skip
    for name in {"bias", "ceil_mode", "count_include_pad"} & values.keys():
        faults += switch_fault(name, values[name])
    for name in RANGES.keys() & values.keys():
        faults += real_fault(name, values[name], **RANGES[name])
    if not faults and "groups" in values and int(values["filters"]) % int(values["groups"]):
        faults += [("groups", str(int(values["groups"])), str(int(values["filters"])))]
    return faults


def held(value):
    """Lists as tuples, NumPy's numbers as Python's."""
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
    """The name of a layer and its arguments, any of them illegal now and then."""
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


# ------------------------------------------------------------------------------------------ shapes


def windows_of(layer, shape):
    """The windows of a convolution or pool over images of a shape."""
    pool = hasattr(layer, "pool_size")
    size = both(layer.pool_size if pool else layer.kernel_size)
    options = {"stride": layer.stride or size, "padding": layer.padding, "dilation": getattr(layer, "dilation", 1)}
    return Windows(shape[:2], size, options, is_on(getattr(layer, "ceil_mode", False)))


def shape_behind(layer, shape):
    """What a layer makes of a sample's shape; None where it cannot take it."""
    if isinstance(layer, (layers.Activation, layers.Dropout, layers.BatchNorm)):
        return shape
    if isinstance(layer, layers.Flatten):
        return (int(np.prod(shape, dtype=object)),)
    if isinstance(layer, layers.Dense):
        return (layer.units,) if len(shape) == 1 else None
    if isinstance(layer, layers.Residual):
        main, skip = shape, shape
        for inner in layer.layers:
            main = main and shape_behind(inner, main)
        for inner in layer.skip:
            skip = skip and shape_behind(inner, skip)
        return main if main == skip else None
    if len(shape) != 3:
        return None
    if isinstance(layer, layers.GlobalAvgPool2D):
        return (shape[2],)
    w = windows_of(layer, shape)
    if shape[2] % getattr(layer, "groups", 1):
        return None
    if not all(w.out) or (hasattr(layer, "pool_size") and w.empty_faults()):
        return None
    channels = shape[2] * getattr(layer, "multiplier", 1)
    return (*w.out, getattr(layer, "filters", channels))


# ----------------------------------------------------------------------------------------- outputs

SMOOTH = ("tanh", "gelu", "silu", "softplus", "sigmoid", "mish", "identity", "softmax", "log_softmax")
KINKED = ("relu", "leaky_relu", "relu6", "elu", "selu", "hard_swish")
small = st.integers(1, 3)
pair = st.one_of(small, st.tuples(small, small))
padding = st.sampled_from([0, 1, "same", "valid", (1, 0), ((0, 1), (1, 0))])
windows = {"stride": st.sampled_from([1, 1, 2, (1, 2)]), "padding": padding}
CONV = {"kernel_size": pair, "dilation": st.sampled_from([1, 1, 2]), "bias": st.booleans(), **windows}
pools = {"pool_size": pair, **windows, "ceil_mode": st.booleans()}
activation = st.sampled_from(SMOOTH + KINKED).map(layers.Activation)
one_layer = st.one_of(
    activation, activation,
    st.builds(layers.Conv2D, st.integers(1, 6), groups=st.sampled_from([1, 1, 1]), **CONV),
    st.builds(layers.Conv2D, st.sampled_from([2, 4]), groups=st.just(2), **CONV),
    st.builds(layers.DepthwiseConv2D, multiplier=st.integers(1, 2), **CONV),
    st.builds(layers.SeparableConv2D, st.integers(1, 4), **CONV),
    st.builds(layers.MaxPool2D, **pools, dilation=st.sampled_from([1, 1, 2])),
    st.builds(layers.AvgPool2D, **pools, count_include_pad=st.booleans()),
    st.builds(layers.BatchNorm, st.sampled_from([1e-5, 1e-2])), st.builds(layers.Dropout, st.floats(0, 0.7)),
    st.builds(layers.GlobalAvgPool2D), st.builds(layers.Flatten), st.builds(layers.Dense, st.integers(1, 6)),
)  # fmt: skip
same = st.one_of(activation, st.just(layers.BatchNorm()), st.just(layers.DepthwiseConv2D(3, padding="same")))
residual = st.builds(layers.Residual, st.lists(same, min_size=1, max_size=3), st.lists(same, max_size=1))
CHAIN = st.lists(st.one_of(*[one_layer] * 6, residual), min_size=1, max_size=5)
IMAGE = st.tuples(st.integers(1, 8), st.integers(1, 8), st.sampled_from([1, 2, 3, 4]))


def expected_shapes(chain, shape):
    """The shape behind each layer, up to the first that cannot take its input."""
    shapes = []
    for layer in chain:
        shape = shape_behind(layer, shape)
        if shape is None:
            return shapes
        shapes.append(shape)
    return shapes


def slow_forward(layer, x, params):
    """A layer's output outside training, by the oracle in float64."""
    if isinstance(layer, layers.Activation):
        return activation_oracles.VALUES[layer.activation](x)
    if isinstance(layer, layers.Dropout):
        return x
    if isinstance(layer, layers.Flatten):
        return x.reshape(len(x), -1)
    if isinstance(layer, layers.Dense):
        return x @ np.float64(params["weights"]) + np.float64(params.get("bias", 0))
    if isinstance(layer, layers.BatchNorm):
        p = {name: np.float64(array) for name, array in params.items()}
        return (x - p["running_mean"]) / np.sqrt(p["running_variance"] + layer.eps) * p["gamma"] + p["beta"]
    if isinstance(layer, layers.GlobalAvgPool2D):
        return oracle.global_avg_pool2d(x)
    if isinstance(layer, (layers.Residual, layers.SeparableConv2D)):
        paths = layer.parts()
        y = slow_chain(paths[0], x, params)
        if isinstance(layer, layers.SeparableConv2D):
            return y
        return y + (slow_chain(paths[1], x, below(params, "skip")) if len(paths) > 1 else x)
    w = windows_of(layer, x.shape[1:])
    if isinstance(layer, layers.MaxPool2D):
        return oracle.max_pool2d(x, w.kernel_size, w.stride, w.padding, w.dilation, layer.ceil_mode)[0]
    if isinstance(layer, layers.AvgPool2D):
        return oracle.avg_pool2d(x, w.kernel_size, w.stride, w.padding, layer.ceil_mode, layer.count_include_pad)
    groups = x.shape[3] if isinstance(layer, layers.DepthwiseConv2D) else layer.groups
    return oracle.conv2d(x, params["kernel"], params.get("bias"), w.stride, w.padding, w.dilation, groups)


def slow_chain(chain, x, params):
    """One layer after the other."""
    for name, layer in zip(layers_named(chain), chain, strict=True):
        x = slow_forward(layer, x, below(params, name))
    return x


def layers_named(chain):
    """Names as a network gives them: the class and the place among its kind."""
    kinds = [type(layer).__name__.lower() for layer in chain]
    return [f"{kind}_{kinds[: i + 1].count(kind)}" for i, kind in enumerate(kinds)]


def network_of(chain, shape, dtype, seed):
    """The network with random parameters and statistics, or None where it has to be refused."""
    shapes = expected_shapes(chain, shape)
    i = len(shapes)
    faults = [] if i == len(chain) else [(str((shape, *shapes)[i]),)]
    network = outcome(lambda: Network(chain, shape, dtype=dtype, seed=seed, initializer="he_normal"), faults)
    if network is None:
        return None
    assert list(network.shapes) == shapes
    rng = np.random.default_rng(seed)
    network.buffer[:] = rng.uniform(-1, 1, network.buffer.shape)
    network.state_buffer[:] = rng.uniform(0.5, 1.5, network.state_buffer.shape)
    return network


@fuzz(
    "layers.Activation", "layers.Residual", "network.Network", "network.Memory", weight=4, chain=CHAIN, shape=IMAGE,
    dtype=st.sampled_from(["f4", "f8"]), rows=st.integers(1, 3), seed=st.integers(0, 2**32), n_threads=st.integers(1, 3),
)  # fmt: skip
def test_chains_predict(chain, shape, dtype, rows, seed, n_threads):
    network = network_of(chain, shape, dtype, seed)
    if network is None:
        return
    x = np.random.default_rng(seed).standard_normal((rows, *shape)).astype(dtype)
    before = x.tobytes()
    y = outputs(network, x, n_threads=n_threads)
    assert x.tobytes() == before
    expected = slow_chain(chain, np.float64(x), network.parameters)
    assert (y.dtype, y.shape) == (np.dtype(dtype), expected.shape)
    slack = (2e-3 if dtype == "f4" else 1e-10) * max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(y, expected, rtol=0, atol=slack)


def one_by_one(network, x, dy):
    """Output and flat gradient in training, layer after layer, nothing fused."""
    context = network.context(True, Workspace(), 1, seed=3, epoch=1)
    flat, named = network.gradients()
    tape = []
    for name, layer in zip(network.names, network.layers, strict=True):
        inner = context.at(name + ".", Workspace(), True)
        x, cache = layer.forward(x, below(network.parameters, name), inner)
        tape.append((name, layer, cache, inner))
    for name, layer, cache, inner in reversed(tape):
        dy = layer.backward(dy, cache, below(network.parameters, name), named[name], inner)
    return x, flat


@fuzz(
    weight=4,
    chain=CHAIN,
    shape=IMAGE,
    rows=st.integers(1, 4),
    seed=st.integers(0, 2**32),
    n_threads=st.integers(1, 3),
)
def test_chains_learn(chain, shape, rows, seed, n_threads):
    network = network_of(chain, shape, "f8", seed)
    assume(network is not None)
    rng = np.random.default_rng(seed)
    x, dy = rng.standard_normal((rows, *shape)), rng.standard_normal((rows, *network.output_shape))
    states = network.state_buffer.copy()
    y, gradient = passes(network, x, dy, n_threads=n_threads)
    network.state_buffer[:] = states
    slow_y, slow_gradient = one_by_one(network, x, dy.copy())
    network.state_buffer[:] = states
    largest = max(1.0, np.abs(slow_y).max(), np.abs(slow_gradient).max(initial=0))
    np.testing.assert_allclose(y, slow_y, rtol=0, atol=1e-9 * largest)
    np.testing.assert_allclose(gradient, slow_gradient, rtol=0, atol=1e-8 * largest)
    kinked = (
        "relu" in repr(chain) or any(f"'{name}'" in repr(chain) for name in KINKED) or "MaxPool" in repr(chain)
    )
    if kinked or not network.n_trainable:
        return
    direction = rng.standard_normal(network.n_trainable)
    slopes = []
    for step in (1e-5, -1e-5):
        network.buffer[: network.n_trainable] += step * direction
        slopes.append((outputs(network, x, training=True, seed=3, epoch=1) * dy).sum())
        network.buffer[: network.n_trainable] -= step * direction
        network.state_buffer[:] = states
    slope = (slopes[0] - slopes[1]) / 2e-5
    scale = max(1.0, np.abs(gradient).max(), np.abs(slopes).max()) * max(1.0, np.abs(gradient).max())
    assert abs(slope - gradient @ direction) <= 1e-4 * scale


# ---------------------------------------------------------------------------------------- networks


@fuzz(
    "network.Network", weight=2, shape=st.one_of(odd(), st.tuples(*[odd(st.integers(3, 6))] * 3)),
    dtype=st.sampled_from(["float32", "f8", np.float64, "float16", "i4", "complex64"]), seed=odd(st.integers(0, 9)),
    chain=st.sampled_from([(layers.Conv2D(2), layers.Flatten()), (), [layers.BatchNorm()], 5, None, "conv2d",
                           [layers.Conv2D], ["conv2d"], [None]]),
    frozen=st.sampled_from([(), ("conv2d_1",), ("nothing",)]),
)  # fmt: skip
def test_network_arguments(shape, dtype, seed, chain, frozen):
    faults = int_fault("seed", seed, 0)
    if not faults and seed >= 2**64:
        faults = [("seed", str(int(seed)))]
    legal = isinstance(shape, (tuple, list)) and len(shape) > 0
    sizes = [f for n in shape for f in int_fault("input_shape", n, 1)] if legal else [("input_shape", repr(shape))]
    faults += sizes
    if np.dtype(dtype).name not in ("float32", "float64"):
        faults += [("dtype", np.dtype(dtype).name)]
    wrong = not isinstance(chain, (tuple, list)) or any(not isinstance(layer, layers.Layer) for layer in chain)
    if wrong:
        faults += [("layers", repr(item)) for item in (chain if isinstance(chain, list) else [chain])]
    conv = isinstance(chain, tuple) and len(chain) == 2
    if not sizes and conv and (len(shape) != 3 or min(shape[:2]) < 3):
        faults += [("layer 0",)]
    if frozen and not (conv and frozen == ("conv2d_1",)):
        faults += [("frozen", repr(frozen[0]))]
    parameters = 0 if sizes or not chain or wrong else int(shape[-1])
    if parameters > 2**30:
        faults += [("too large", "")]
        assume(parameters > 2**45)  # what no machine would begin with
    try:
        outcome(lambda: Network(chain, shape, dtype=dtype, seed=seed, frozen=frozen), faults)
    except AssertionError as error:
        assert isinstance(error.__cause__ or error.__context__, MemoryError) and parameters > 2**45, error  # noqa: PT018


@fuzz("network.Predictor", weight=1, wrong=st.sampled_from(["x shape", "x dtype", "dy shape", "dy dtype", "layer_output"]),
      size=st.integers(1, 9))  # fmt: skip
def test_batches_that_do_not_fit_a_network(wrong, size):
    """Kernels do not look: arrays of other samples would be read beyond their end."""
    network = Network([layers.Conv2D(4), layers.Flatten(), layers.Dense(3)], (10, 10, 2))
    memory = Memory()
    context = network.context(True, memory.kept, 1)
    x = np.ones((2, size, 10, 2) if wrong in ("x shape", "layer_output") else (2, 10, 10, 2), "f4")
    x = x.astype("f8") if wrong == "x dtype" else x
    if wrong == "layer_output":
        outcome(lambda: network.layer_output(x, 0, context, memory), [("x", str(x.shape), "(N, 10, 10, 2)")])
        return
    if wrong.startswith("x"):
        outcome(lambda: network.forward(x, context, memory, []), [("x", str(x.shape), str(x.dtype))])
        return
    tape = []
    network.forward(x, context, memory, tape)
    dy = np.ones((2, 3 + size) if wrong == "dy shape" else (2, 3), "f8" if wrong == "dy dtype" else "f4")
    _, named = network.gradients()
    outcome(lambda: network.backward(dy, tape, named, context, memory), [("dy", str(dy.shape), str(dy.dtype))])
