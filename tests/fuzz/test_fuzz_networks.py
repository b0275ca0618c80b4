"""Networks of random layers compared with the oracle, their gradients, and arbitrary arguments."""

import numpy as np
from fuzz_layers import expected_shapes, slow_chain
from fuzzing import fuzz, int_fault, odd, outcome
from hypothesis import assume
from hypothesis import strategies as st
from nets import outputs, passes

from pyconvx import layers
from pyconvx._core.workspace import Workspace
from pyconvx.layers import Randomness
from pyconvx.layers.sequence import below
from pyconvx.network import Memory, Network

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
    activation,
    activation,
    st.builds(layers.Conv2D, st.integers(1, 6), groups=st.sampled_from([1, 1, 1]), **CONV),
    st.builds(layers.Conv2D, st.sampled_from([2, 4]), groups=st.just(2), **CONV),
    st.builds(layers.DepthwiseConv2D, multiplier=st.integers(1, 2), **CONV),
    st.builds(layers.SeparableConv2D, st.integers(1, 4), **CONV),
    st.builds(layers.MaxPool2D, **pools, dilation=st.sampled_from([1, 1, 2])),
    st.builds(layers.AvgPool2D, **pools, count_include_pad=st.booleans()),
    st.builds(layers.BatchNorm, st.sampled_from([1e-5, 1e-2])),
    st.builds(layers.Dropout, st.floats(0, 0.7)),
    st.builds(layers.GlobalAvgPool2D),
    st.builds(layers.GlobalMaxPool2D),
    st.builds(layers.Flatten),
    st.builds(layers.Dense, st.integers(1, 6)),
)
steps = {"stride": st.integers(1, 2), "padding": st.sampled_from([0, 1, "same", "valid", (1, 0)])}
CONV_1D = {"kernel_size": small, "dilation": st.integers(1, 2), "bias": st.booleans(), **steps}
pools_1d = {"pool_size": small, **steps, "ceil_mode": st.booleans()}
one_layer_of_signals = st.one_of(
    activation,
    st.builds(layers.Conv1D, st.integers(1, 6), **CONV_1D),
    st.builds(layers.Conv1D, st.sampled_from([2, 4]), groups=st.just(2), **CONV_1D),
    st.builds(layers.MaxPool1D, **pools_1d, dilation=st.integers(1, 2)),
    st.builds(layers.AvgPool1D, **pools_1d, count_include_pad=st.booleans()),
    st.builds(layers.BatchNorm),
    st.builds(layers.Dropout, st.floats(0, 0.7)),
    st.builds(layers.GlobalAvgPool1D),
    st.builds(layers.GlobalMaxPool1D),
    st.builds(layers.SqueezeExcite, st.integers(1, 4)),
    st.builds(layers.Bottleneck, small, stride=small, projection=st.just(True), spatial_dims=st.just(1)),
    st.builds(lambda n: layers.Concat([layers.Conv1D(n, 3, padding="same")], []), small),
    st.builds(layers.Flatten),
    st.builds(layers.Dense, st.integers(1, 6)),
)
same = st.one_of(activation, st.just(layers.BatchNorm()), st.just(layers.DepthwiseConv2D(3, padding="same")))
residual = st.builds(layers.Residual, st.lists(same, min_size=1, max_size=3), st.lists(same, max_size=1))
squeeze = st.builds(layers.SqueezeExcite, st.integers(1, 4))
branch = st.lists(st.one_of(same, st.builds(layers.Conv2D, small, small, padding=st.just("same"))), max_size=3)
concat = st.builds(lambda paths: layers.Concat(*paths), st.lists(branch, min_size=1, max_size=3))
bottleneck = st.builds(
    layers.Bottleneck,
    small,
    stride=small,
    expansion=small,
    projection=st.sampled_from([None, True]),
    activation=st.sampled_from(SMOOTH + KINKED),
)
CHAIN = st.lists(st.one_of(*[one_layer] * 6, residual, concat, bottleneck, squeeze), min_size=1, max_size=5)
CHANNELS = st.sampled_from([1, 2, 3, 4])
CASE = st.one_of(
    *[st.tuples(CHAIN, st.tuples(st.integers(1, 8), st.integers(1, 8), CHANNELS))] * 3,
    st.tuples(st.lists(one_layer_of_signals, min_size=1, max_size=5), st.tuples(st.integers(1, 12), CHANNELS)),
)


def network_of(chain, shape, dtype, seed):
    """Return a network with random parameters and statistics, or None if it has to be refused."""
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
    "layers.Activation",
    "layers.Residual",
    "layers.Bottleneck",
    "layers.Concat",
    "layers.SqueezeExcite",
    "network.Network",
    "network.Memory",
    weight=4,
    case=CASE,
    dtype=st.sampled_from(["f4", "f8"]),
    rows=st.integers(1, 3),
    seed=st.integers(0, 2**32),
    n_threads=st.integers(1, 3),
)
def test_chains_predict(case, dtype, rows, seed, n_threads):
    chain, shape = case
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
    """Return output and flat gradient in training, one layer at a time, without fusion."""
    context = network.context(True, Workspace(), 1, randomness=Randomness(3, 1))
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
    case=CASE,
    rows=st.integers(1, 4),
    seed=st.integers(0, 2**32),
    n_threads=st.integers(1, 3),
)
def test_chains_learn(case, rows, seed, n_threads):
    chain, shape = case
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
    written = repr(chain)
    kinked = any(
        word in written for word in ("relu", "MaxPool", "SqueezeExcite", *(f"'{name}'" for name in KINKED))
    )
    if kinked or not network.n_trainable:
        return
    direction = rng.standard_normal(network.n_trainable)
    slopes = []
    for step in (1e-5, -1e-5):
        network.buffer[: network.n_trainable] += step * direction
        slopes.append((outputs(network, x, training=True, randomness=Randomness(3, 1)) * dy).sum())
        network.buffer[: network.n_trainable] -= step * direction
        network.state_buffer[:] = states
    slope = (slopes[0] - slopes[1]) / 2e-5
    scale = max(1.0, np.abs(gradient).max(), np.abs(slopes).max()) * max(1.0, np.abs(gradient).max())
    assert abs(slope - gradient @ direction) <= 1e-4 * scale


# ---------------------------------------------------------------------------------------- networks


@fuzz(
    "network.Network",
    weight=2,
    shape=st.one_of(odd(), st.tuples(*[odd(st.integers(3, 6))] * 3)),
    dtype=st.sampled_from(["float32", "f8", np.float64, "float16", "i4", "complex64"]),
    seed=odd(st.integers(0, 9)),
    chain=st.sampled_from(
        [
            (layers.Conv2D(2), layers.Flatten()),
            (),
            [layers.BatchNorm()],
            5,
            None,
            "conv2d",
            [layers.Conv2D],
            ["conv2d"],
            [None],
        ]
    ),
    frozen=st.sampled_from([(), ("conv2d_1",), ("nothing",)]),
)
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
    assume(not 2**30 < parameters < 2**45)  # more than a machine has, but not than it may begin with
    outcome(lambda: Network(chain, shape, dtype=dtype, seed=seed, frozen=frozen), faults, parameters > 2**45)


@fuzz(
    "network.CompiledNetwork",
    weight=1,
    wrong=st.sampled_from(["x shape", "x dtype", "dy shape", "dy dtype", "layer_output"]),
    size=st.integers(1, 9),
)
def test_batches_that_do_not_fit_a_network(wrong, size):
    """Kernels do not check sizes: arrays of fewer samples would be read beyond their end."""
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
