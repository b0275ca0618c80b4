"""Networks: one buffer for all parameters, the passes, the plan, copies, threads."""

import copy
import dataclasses
import pickle
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pytest
from nets import MIXED, PLAIN, RELU, net, outputs, passes, pictures, trainer

from pyconvx import activations
from pyconvx._core.workspace import Workspace
from pyconvx.estimators.predictor import network_outputs
from pyconvx.exceptions import ModelFileError, PluginError
from pyconvx.layers import Activation, BatchNorm, Conv2D, Dense, DepthwiseConv2D, Flatten, MaxPool2D, Residual
from pyconvx.layers.fusion import one_by_one
from pyconvx.network import CompiledNetwork, Memory, Network
from pyconvx.network.network import FORMAT_VERSION
from pyconvx.training import ArraySource

X, Y = pictures(12)
SLOPES = np.random.default_rng(1).standard_normal((12, 3))


@pytest.mark.parametrize("layers", [PLAIN, MIXED], ids=["plain", "mixed"])
def test_gradient_of_whole_networks(layers):
    network = net(layers)
    rng = np.random.default_rng(0)
    network.buffer[:] += 0.1 * rng.standard_normal(network.n_parameters)
    _, gradient = passes(network, X, SLOPES)
    start = network.buffer.copy()

    def value(parameters):
        network.buffer[:] = parameters
        return float((passes(network, X, SLOPES)[0] * SLOPES).sum())

    for seed in range(5):
        direction = np.random.default_rng(seed).standard_normal(len(start))
        direction /= np.linalg.norm(direction)
        expected = (value(start + 1e-5 * direction) - value(start - 1e-5 * direction)) / 2e-5
        np.testing.assert_allclose(gradient @ direction, expected, rtol=1e-6, atol=1e-7)
    for i in range(0, len(start), 7):
        up, down = start.copy(), start.copy()
        up[i] += 1e-5
        down[i] -= 1e-5
        np.testing.assert_allclose(gradient[i], (value(up) - value(down)) / 2e-5, rtol=1e-5, atol=1e-6)


def test_buffer_holds_weights_then_biases_then_what_is_frozen():
    layers = (Conv2D(4), BatchNorm(), RELU, Flatten(), Dense(5), RELU, Dense(3))
    network = net(layers, frozen=("dense_1",))
    order = [name for name in network.parameters if "running" not in name]
    assert order == [
        "conv2d_1.kernel",
        "dense_2.weights",
        "conv2d_1.bias",
        "batchnorm_1.gamma",
        "batchnorm_1.beta",
        "dense_2.bias",
        "dense_1.weights",
        "dense_1.bias",
    ]
    flat = np.concatenate([network.parameters[name].ravel() for name in order])
    np.testing.assert_array_equal(network.buffer, flat)
    sizes = [network.parameters[name].size for name in order]
    assert network.n_weights == sum(sizes[:2])
    assert network.n_trainable == sum(sizes[:6])
    assert network.n_parameters == sum(sizes) == network.buffer.size
    assert network.state_buffer.size == 8


def test_views_alias_the_buffer_and_are_read_only():
    network = net()
    kernel = network.parameters["conv2d_1.kernel"]
    assert np.shares_memory(kernel, network.buffer)
    network.buffer[0] = 42
    assert kernel.ravel()[0] == 42
    with pytest.raises(ValueError, match="read-only"):
        kernel[...] = 0
    with pytest.raises(TypeError):
        network.parameters["conv2d_1.kernel"] = kernel


def train(network, **options):
    loop = trainer(network, X, Y, batch_size=5, learning_rate_init=0.01, **options)
    loop.run(2)
    return network


def test_frozen_layers_do_not_move():
    network = net(frozen=("conv2d_1", "dense_2.bias"))
    before = {name: array.copy() for name, array in network.parameters.items()}
    train(network)
    moved = {name for name, array in network.parameters.items() if not np.array_equal(array, before[name])}
    assert moved == {"dense_1.weights", "dense_1.bias", "dense_2.weights"}


def test_everything_but_the_last_layer_frozen_gives_the_same_gradient():
    whole, part = net(), net(frozen=("conv2d_1", "dense_1"))
    _, full = passes(whole, X, SLOPES)
    _, last = passes(part, X, SLOPES)
    assert len(last) == part.n_trainable == 6 * 3 + 3
    named = {"dense_2.weights": last[:18], "dense_2.bias": last[18:]}
    offset = 0
    for name, array in whole.parameters.items():
        if name in named:
            np.testing.assert_array_equal(full[offset : offset + array.size], named[name])
        offset += array.size


def test_frozen_names_must_exist():
    with pytest.raises(ValueError, match=r"frozen names \['conv2d_2'\] match none of conv2d_1.kernel"):
        net(frozen=("conv2d_2",))
    with pytest.raises(ValueError, match="match none"):
        net(frozen=("conv2d",))


COPIES = {
    "pickle": lambda network: pickle.loads(pickle.dumps(network)),
    "deepcopy": copy.deepcopy,
    "old protocol": lambda network: pickle.loads(pickle.dumps(network, protocol=2)),
}


@pytest.mark.parametrize("way", COPIES)
def test_a_copy_trains_as_the_original_does(way):
    network = train(net(MIXED))
    copied = COPIES[way](network)
    np.testing.assert_array_equal(copied.buffer, network.buffer)
    kept = network.buffer.copy(), network.state_buffer.copy()
    train(copied)
    assert not np.array_equal(copied.buffer, network.buffer)
    np.testing.assert_array_equal(network.buffer, kept[0])
    np.testing.assert_array_equal(network.state_buffer, kept[1])
    train(network)
    np.testing.assert_array_equal(copied.buffer, network.buffer)
    np.testing.assert_array_equal(copied.state_buffer, network.state_buffer)
    assert np.shares_memory(copied.parameters["conv2d_1.kernel"], copied.buffer)
    np.testing.assert_array_equal(outputs(copied, X), outputs(network, X))


def test_a_pickle_holds_values_and_flat_buffers():
    network = net()
    state = network.__getstate__()
    assert set(state) == {
        "format_version", "layers", "input_shape", "frozen", "dtype", "buffer", "state_buffer"
    }  # fmt: skip
    assert len(pickle.dumps(network)) < network.buffer.nbytes + 2000


@pytest.mark.parametrize("how", ["read-only", "memory map"])
def test_buffers_that_cannot_be_written_are_copied_at_the_first_step(how, tmp_path):
    network = net(MIXED)
    if how == "read-only":
        copied = copy.deepcopy(network)
        for array in (copied.buffer, copied.state_buffer):
            array.flags.writeable = False
    else:
        joblib.dump(network, tmp_path / "net.joblib")
        copied = joblib.load(tmp_path / "net.joblib", mmap_mode="r")
    assert not copied.buffer.flags.writeable
    np.testing.assert_array_equal(outputs(copied, X), outputs(network, X))
    train(network)
    train(copied)
    np.testing.assert_array_equal(copied.buffer, network.buffer)
    np.testing.assert_array_equal(copied.state_buffer, network.state_buffer)


@pytest.mark.parametrize("version", [FORMAT_VERSION + 1, None, "1"])
def test_unknown_formats_are_refused(version):
    network = net()
    state = network.__getstate__() | {"format_version": version}
    with pytest.raises(ModelFileError, match=rf"pickled in format {version}, this pyconvx reads format"):
        Network.__new__(Network).__setstate__(state)


@pytest.mark.parametrize(
    "change",
    [
        lambda state: {"buffer": state["buffer"][:-1]},
        lambda state: {"buffer": state["buffer"].astype(np.float32)},
        lambda state: {"buffer": state["buffer"].reshape(1, -1)},
        lambda state: {"state_buffer": np.zeros(1)},
        lambda state: {"buffer": state["buffer"].repeat(2)[::2]},
        lambda state: {"state_buffer": np.zeros(0, np.float32)},
        lambda state: {"buffer": state["buffer"].tolist()},
    ],
    ids=["short", "dtype", "2-D", "state", "strided", "state dtype", "list"],
)
def test_buffers_that_do_not_fit_are_refused(change):
    network = net()
    state = network.__getstate__()
    with pytest.raises(ModelFileError, match="buffers do not fit: got"):
        Network.__new__(Network).__setstate__(state | change(state))


def test_plan_is_printable():
    steps = [str(step) for step in net().steps]
    assert steps == [
        "conv2d_1 + activation_1 + maxpool2d_1", "flatten_1", "dense_1 + activation_2", "dense_2"
    ]  # fmt: skip
    assert [name for step in net(MIXED).steps for name in step.names] == list(net(MIXED).names)


@pytest.mark.parametrize("name", activations.registry.names())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fused_steps_equal_layers_one_by_one(name, dtype):
    """Forward in training and in inference, and backward: bit for bit."""
    act = Activation(name)
    layers = (
        Conv2D(7), act, DepthwiseConv2D(2, multiplier=2, stride=2), act, Conv2D(5, 1, groups=1), BatchNorm(), act,
        Residual((Conv2D(5, padding="same"), act, Conv2D(5, 1))), act, Flatten(), Dense(9), act, Dense(3),
    )  # fmt: skip
    fused, single = (Network(layers, (8, 7, 2), dtype=dtype) for _ in range(2))
    compiled = hasattr(activations.registry.get(name), "capsule")
    assert len(fused.steps) == len(layers) - 5 * compiled
    single.steps = one_by_one(single.layers, single.names)
    single._first = 0
    x, dy = X.astype(dtype), SLOPES.astype(dtype)
    for one, other in zip(passes(fused, x, dy), passes(single, x, dy), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(outputs(fused, x), outputs(single, x))
    for place in range(len(layers)):
        memory = Memory()
        context = fused.context(False, memory.kept, 1)
        y = fused.layer_output(x, place, context, memory)
        assert y.shape == (12, *fused.shapes[place])
    np.testing.assert_array_equal(y, outputs(fused, x))


@dataclasses.dataclass(frozen=True)
class Doubled(Conv2D):
    """A convolution of one's own that does something else forward."""

    def forward(self, x, params, context):
        """Twice as much."""
        y, cache = super().forward(x, params, context)
        return 2 * y, cache


def test_subclasses_are_run_as_they_define_it():
    plain = net((Conv2D(3), RELU, MaxPool2D(), Flatten(), Dense(3, bias=False)))
    doubled = net((Doubled(3), RELU, MaxPool2D(), Flatten(), Dense(3, bias=False)))
    doubled.buffer[:] = plain.buffer
    assert [str(step) for step in doubled.steps][:3] == ["doubled_1", "activation_1", "maxpool2d_1"]
    np.testing.assert_allclose(outputs(doubled, X), 2 * outputs(plain, X))
    predicted = network_outputs(CompiledNetwork(doubled, 1), ArraySource(X, (8, 7, 2)))
    np.testing.assert_array_equal(predicted, outputs(doubled, X))


@dataclasses.dataclass(frozen=True)
class Joined(Conv2D):
    """A convolution of one's own that takes an activation."""

    def takes(self, epilogue):
        """Take an activation, but no pool."""
        return epilogue.pool is None

    def forward(self, x, params, context, *epilogue):
        """As its base, with a kernel half as large."""
        return super().forward(x, params | {"kernel": 0.5 * params["kernel"]}, context, *epilogue)


@dataclasses.dataclass(frozen=True)
class Whole(Joined):
    """The same, and it takes whatever a convolution takes."""

    def takes(self, epilogue):
        """Take a pool too."""
        return True

    def forward(self, x, params, context, *epilogue):
        """As its base."""
        return super().forward(x, params, context, *epilogue)


@pytest.mark.parametrize("kind", [Joined, Whole])
@pytest.mark.parametrize("name", ["relu", "gelu"])
def test_other_packages_layers_that_take_an_activation(kind, name):
    """They are joined with it under guard, and do what they do one by one."""
    layers = (kind(3), Activation(name), MaxPool2D(), Flatten(), Dense(3))
    joined, single = net(layers), net(layers)
    whole = " + maxpool2d_1" if kind is Whole and name == "relu" else ""
    assert str(joined.steps[0]) == f"{kind.__name__.lower()}_1 + activation_1" + whole
    single.steps = one_by_one(single.layers, single.names)
    y = outputs(joined, X)
    np.testing.assert_array_equal(y, outputs(single, X))
    np.testing.assert_array_equal(network_outputs(CompiledNetwork(joined, 1), ArraySource(X, (8, 7, 2))), y)
    kept, plain = passes(joined, X, SLOPES), passes(single, X, SLOPES)
    np.testing.assert_array_equal(kept[0], plain[0])


def test_misfits_name_the_layers_place():
    with pytest.raises(
        ValueError, match=r"layer 1, Conv2D\(.*kernel_size=9.* cannot take input of shape \(6, 5, 4\)"
    ):
        net((Conv2D(4), Conv2D(4, 9)))
    with pytest.raises(ValueError, match=r"layer 0, Residual.*layer 1, Dense.*put Flatten\(\) before it"):
        net((Residual((Conv2D(4), Dense(3))),))
    with pytest.raises(PluginError, match="unknown activation 'reelu'"):
        net((Conv2D(4), Activation("reelu")))


@pytest.mark.parametrize("layers", [PLAIN, MIXED], ids=["plain", "mixed"])
def test_nothing_is_allocated_after_the_first_batch(layers):
    network = net(layers)
    loop = trainer(network, X, Y, batch_size=6)
    loop.run(1)
    memory = loop._memory
    spaces = (memory.kept, *memory.turns)
    loop.run(1)  # if one piece did not suffice, the pieces are joined now
    sizes = [[piece.size for piece in space._pieces] for space in spaces]
    before = [[piece.__array_interface__["data"][0] for piece in space._pieces] for space in spaces]
    assert all(len(pieces) <= 1 for pieces in sizes)
    loop.run(3)
    assert [[piece.size for piece in space._pieces] for space in spaces] == sizes
    assert [[piece.__array_interface__["data"][0] for piece in space._pieces] for space in spaces] == before


def peak_of_a_step(size):
    """Bytes that Python and NumPy allocate in a step after the first ones."""
    data, labels = pictures(2 * size)
    loop = trainer(net(PLAIN), data, labels, batch_size=size)
    loop.run(2)
    rows = loop._order()[:size]
    tracemalloc.start()
    loop._step(rows, 0.0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def test_a_step_takes_no_memory_that_grows_with_the_batch():
    assert peak_of_a_step(500) - peak_of_a_step(50) < 450  # a byte per image


def test_workspace_is_a_stack():
    space = Workspace()
    first = space.take((3, 5), np.float32)
    mark = space.mark()
    second = space.take((7,), np.float64)
    assert not np.shares_memory(first, second)
    assert all(array.ctypes.data % 64 == 0 for array in (first, second))
    space.release(mark)
    assert space.take((7,), np.float64).ctypes.data == second.ctypes.data
    large = space.take((1 << 16,), np.float64)
    assert space.owns(first)
    assert space.owns(large)
    assert not space.owns(np.empty(3))
    space.reset()
    assert len(space._pieces) == 1
    again = space.take((3, 5), np.float32)
    assert space.owns(again)  # not what was handed out from the memory before
    assert not np.shares_memory(again, first)
    assert space.take((0, 4), np.float32).shape == (0, 4)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_prediction_from_many_threads(n_threads):
    network = Network(MIXED, (8, 7, 2))
    batches = [pictures(n, seed=n, dtype=np.float32)[0] for n in range(1, 25)]
    serial = [outputs(network, batch) for batch in batches]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda batch: outputs(network, batch, n_threads=n_threads), batches * 4))
    for one, other in zip(found, serial * 4, strict=True):
        np.testing.assert_array_equal(one, other)


def test_repr():
    assert repr(net()) == "Network(7 layers, (8, 7, 2) -> (3,), float64)"


def test_a_frozen_batch_norm_keeps_its_statistics():
    layers = [BatchNorm(), Flatten(), Dense(2)]
    network = Network(layers, (3, 3, 2), frozen=["batchnorm_1"])
    before = network.state_buffer.copy()
    memory = Memory()
    context = network.context(True, memory.kept, 1)
    images = np.random.default_rng(0).normal(5.0, 2.0, (4, 3, 3, 2)).astype(np.float32)
    network.forward(images, context, memory, [])
    np.testing.assert_array_equal(network.state_buffer, before)
