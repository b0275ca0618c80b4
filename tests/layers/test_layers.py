"""Every built-in layer through `check_layer`, in the ways it can be set up, and against the slow oracle."""

import importlib.metadata
import json
import tomllib
from pathlib import Path

import numpy as np
import oracle
import pytest
from fuzz_layers import slow_forward

from pyconvx import activations, layers, testing
from pyconvx._core.workspace import Workspace
from pyconvx.layers import (
    Activation,
    AvgPool1D,
    AvgPool2D,
    BatchNorm,
    Context,
    Conv1D,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Epilogue,
    Flatten,
    GlobalAvgPool1D,
    GlobalAvgPool2D,
    GlobalMaxPool1D,
    GlobalMaxPool2D,
    MaxPool1D,
    MaxPool2D,
    Randomness,
    Residual,
    SeparableConv2D,
)
from pyconvx.layers.sequence import output_shapes
from pyconvx.layers.space import as_image_sizes

RELU = Activation("relu")
SHORT = (Conv2D(4, padding="same"), RELU)
IMAGE_LAYERS = [
    Conv2D(5),
    Conv2D(5, 1),
    Conv2D(17, padding="same"),
    Conv2D(3, (2, 3), padding=((0, 1), (2, 0))),
    Conv2D(6, stride=2, padding=1),
    Conv2D(6, stride=(1, 3), padding=(2, 0), bias=False),
    Conv2D(4, 2, dilation=2),
    Conv2D(4, dilation=(2, 1), padding="same"),
    Conv2D(6, groups=2),
    Conv2D(8, stride=2, groups=4, padding="same"),
    DepthwiseConv2D(),
    DepthwiseConv2D((3, 2), multiplier=2, padding="same", bias=False),
    DepthwiseConv2D(2, stride=2, dilation=2, padding=1),
    SeparableConv2D(5),
    SeparableConv2D(3, 2, multiplier=2, stride=2, padding="same", bias=False),
    MaxPool2D(),
    MaxPool2D(3, stride=2, padding=1),
    MaxPool2D((2, 3), stride=1, ceil_mode=True),
    MaxPool2D(2, stride=4, ceil_mode=True),
    MaxPool2D(2, dilation=2, stride=1),
    MaxPool2D(2, padding="same"),
    AvgPool2D(),
    AvgPool2D(3, stride=2, padding=1),
    AvgPool2D(3, stride=2, padding=1, count_include_pad=True),
    AvgPool2D((2, 3), ceil_mode=True, padding="valid"),
    AvgPool2D(3, stride=2, ceil_mode=True, padding="same", count_include_pad=True),
    GlobalAvgPool2D(),
    GlobalMaxPool2D(),
    Flatten(),
    Dropout(),
    Dropout(0.0),
    BatchNorm(),
    BatchNorm(eps=0.1, momentum=0.0),
    Residual(SHORT),
    Residual([Conv2D(6, stride=2, padding=1), BatchNorm(), RELU], [Conv2D(6, 1, stride=2)]),
    Residual((SeparableConv2D(4, padding="same"), Dropout(0.3)), (BatchNorm(),)),
    Residual((Residual(SHORT), Activation("tanh"))),
]
SIGNAL_LAYERS = [
    Conv1D(5),
    Conv1D(17, padding="same"),
    Conv1D(3, 2, padding=(1, 0)),
    Conv1D(6, stride=2, padding=1, bias=False),
    Conv1D(4, (2,), dilation=2, padding="same"),
    Conv1D(6, 1, groups=2),
    MaxPool1D(),
    MaxPool1D(3, stride=2, padding=1),
    MaxPool1D(2, stride=1, dilation=3),
    MaxPool1D((2,), padding="same", ceil_mode=True),
    AvgPool1D(),
    AvgPool1D(3, stride=2, padding=(1, 0), count_include_pad=True),
    AvgPool1D(3, ceil_mode=True),
    GlobalAvgPool1D(),
    GlobalMaxPool1D(),
    BatchNorm(),
    Dropout(),
    Flatten(),
    RELU,
    Residual([Conv1D(4, padding="same"), BatchNorm(), RELU]),
    Residual([Conv1D(6, stride=2, padding=1)], [Conv1D(6, 1, stride=2)]),
]
FLAT_LAYERS = [Dense(3), Dense(1, bias=False), Dense(40), BatchNorm(), Dropout(0.25), Flatten(), RELU]
POOLS = [layer for layer in IMAGE_LAYERS if isinstance(layer, MaxPool2D | AvgPool2D)]
PYPROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
ENTRIES = PYPROJECT["project"]["entry-points"]["pyconvx.layers"]


@pytest.mark.parametrize("layer", IMAGE_LAYERS, ids=str)
def test_contract_on_maps(layer):
    testing.check_layer(layer)


@pytest.mark.parametrize("layer", SIGNAL_LAYERS, ids=str)
def test_contract_on_signals(layer):
    testing.check_layer(layer, (9, 4))


@pytest.mark.parametrize("layer", SIGNAL_LAYERS, ids=str)
def test_signals_against_the_oracle(layer):
    rng = np.random.default_rng(0)
    x = oracle.integer_array(rng, (3, 9, 4))
    specs = layer.parameters(x.shape[1:])
    params = {name: oracle.integer_array(rng, spec.shape) for name, spec in specs.items()}
    params |= {name: np.ones(4) for name in params if name.endswith("running_variance")}
    states = {name: params[name] for name, spec in specs.items() if spec.kind == "state"}
    np.testing.assert_allclose(
        run(layer, x, params, training=False, states=states),
        slow_forward(layer, x, params),
        rtol=1e-14,
        atol=1e-14,
    )


@pytest.mark.parametrize("layer", FLAT_LAYERS, ids=str)
def test_contract_on_vectors(layer):
    testing.check_layer(layer, (11,))


@pytest.mark.parametrize("name", activations.registry.names())
def test_contract_of_activations(name):
    testing.check_layer(Activation(name), (3, 2, 4))
    testing.check_layer(Activation(activations.registry.get(name)), (5,))


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 7, 1), (5, 1, 3), (2, 2, 33)])
def test_contract_on_thin_maps(shape):
    for layer in (Conv2D(2, padding="same"), MaxPool2D(2, padding="same"), GlobalAvgPool2D(), Flatten()):
        testing.check_layer(layer, shape)


def test_contract_by_name_and_class():
    testing.check_layer("max_pool2d")
    testing.check_layer(Flatten)
    with pytest.raises(AssertionError, match="without arguments its class raised TypeError"):
        testing.check_layer("conv2d")


def run(layer, x, params=None, training=True, states=None, **options):
    """The output of a forward pass with these parameters."""
    names = {f"a.{name}": array for name, array in (states or {}).items()}
    context = Context(training, Workspace(), scope="a.", states=names, **options)
    y, _ = layer.forward(x, {**(params or {}), **(states or {})}, context)
    return y.copy()


@pytest.mark.parametrize(
    "layer", [layer for layer in IMAGE_LAYERS if isinstance(layer, Conv2D)], ids=lambda layer: str(layer)
)
def test_conv2d_against_the_oracle(layer):
    rng = np.random.default_rng(0)
    x = oracle.integer_array(rng, (3, 6, 5, 4))
    specs = layer.parameters(x.shape[1:])
    params = {name: oracle.integer_array(rng, spec.shape) for name, spec in specs.items()}
    size, stride, dilation = (as_image_sizes(v, 2) for v in (layer.kernel_size, layer.stride, layer.dilation))
    padding = oracle.sides(layer.padding, x.shape[1:3], size, stride, dilation)
    expected = oracle.conv2d(x, params["kernel"], params.get("bias"), stride, padding, dilation, layer.groups)
    np.testing.assert_array_equal(run(layer, x, params), expected)


@pytest.mark.parametrize("layer", POOLS, ids=str)
def test_pools_against_the_oracle(layer):
    x = np.random.default_rng(0).standard_normal((3, 6, 5, 4))
    size = as_image_sizes(layer.pool_size, 2)
    stride = as_image_sizes(layer.stride or size, 2)
    if isinstance(layer, MaxPool2D):
        dilation = as_image_sizes(layer.dilation, 2)
        padding = oracle.sides(layer.padding, x.shape[1:3], size, stride, dilation)
        expected, _ = oracle.max_pool2d(x, size, stride, padding, dilation, layer.ceil_mode)
    else:
        padding = oracle.sides(layer.padding, x.shape[1:3], size, stride)
        expected = oracle.avg_pool2d(x, size, stride, padding, layer.ceil_mode, layer.count_include_pad)
    np.testing.assert_allclose(run(layer, x), expected, rtol=1e-14, atol=1e-14)


def test_dense_against_numpy():
    rng = np.random.default_rng(0)
    x, weights, bias = (oracle.integer_array(rng, shape) for shape in ((7, 5), (5, 3), (3,)))
    np.testing.assert_array_equal(run(Dense(3), x, {"weights": weights, "bias": bias}), x @ weights + bias)
    np.testing.assert_array_equal(run(Dense(3, bias=False), x, {"weights": weights}), x @ weights)


def test_depthwise_is_a_grouped_convolution():
    rng = np.random.default_rng(0)
    x, kernel = rng.standard_normal((2, 6, 5, 4)), rng.standard_normal((3, 3, 1, 8))
    params = {"kernel": kernel, "bias": rng.standard_normal(8)}
    depthwise, grouped = DepthwiseConv2D(multiplier=2), Conv2D(8, groups=4)
    np.testing.assert_array_equal(run(depthwise, x, params), run(grouped, x, params))
    spec = depthwise.parameters((6, 5, 4))["kernel"]
    assert (spec.shape, spec.fan_in, spec.fan_out) == ((3, 3, 1, 8), 9, 18)


def test_separable_is_depthwise_then_pointwise():
    rng = np.random.default_rng(0)
    x, layer = rng.standard_normal((2, 6, 5, 4)), SeparableConv2D(5, stride=2, padding="same")
    specs = layer.parameters((6, 5, 4))
    assert list(specs) == ["depthwiseconv2d_1.kernel", "conv2d_1.kernel", "conv2d_1.bias"]
    params = {name: rng.standard_normal(spec.shape) for name, spec in specs.items()}
    inner = run(
        DepthwiseConv2D(stride=2, padding="same", bias=False), x, {"kernel": params["depthwiseconv2d_1.kernel"]}
    )
    pointwise = {"kernel": params["conv2d_1.kernel"], "bias": params["conv2d_1.bias"]}
    np.testing.assert_array_equal(run(layer, x, params), run(Conv2D(5, 1), inner, pointwise))


def test_residual_adds_its_paths():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 6, 5, 4))
    layer = Residual([Conv2D(3, stride=2, padding=1), RELU], [Conv2D(3, 1, stride=2)])
    specs = layer.parameters((6, 5, 4))
    assert list(specs) == ["conv2d_1.kernel", "conv2d_1.bias", "skip.conv2d_1.kernel", "skip.conv2d_1.bias"]
    params = {name: rng.standard_normal(spec.shape) for name, spec in specs.items()}
    paths = [{key: params[start + key] for key in ("kernel", "bias")} for start in ("conv2d_1.", "skip.conv2d_1.")]
    main = np.maximum(run(layer.layers[0], x, paths[0]), 0)
    np.testing.assert_array_equal(run(layer, x, params), main + run(layer.skip[0], x, paths[1]))


def test_flatten_strings_channels_fastest():
    x = np.arange(24.0).reshape(1, 2, 3, 4)
    np.testing.assert_array_equal(run(Flatten(), x), np.arange(24.0)[None])


def test_multiplications():
    assert Conv2D(8).multiplications((6, 5, 4)) == 4 * 3 * 8 * 9 * 4
    assert Conv2D(8, groups=4).multiplications((6, 5, 4)) == 4 * 3 * 8 * 9
    assert DepthwiseConv2D(multiplier=2).multiplications((6, 5, 4)) == 4 * 3 * 8 * 9
    assert SeparableConv2D(5).multiplications((6, 5, 4)) == 4 * 3 * 4 * 9 + 4 * 3 * 4 * 5
    assert Dense(3).multiplications((7,)) == 21
    assert Residual(SHORT, (Conv2D(4, 1),)).multiplications((6, 5, 4)) == 30 * 4 * 4 * (9 + 1)
    assert MaxPool2D().multiplications((6, 5, 4)) == 0


NORM = {"gamma": np.array([2.0, 0.5]), "beta": np.array([1.0, -1.0])}


def norm_states():
    return {"running_mean": np.array([1.0, 2.0]), "running_variance": np.array([4.0, 9.0])}


@pytest.mark.parametrize("shape", [(5, 3, 4, 2), (6, 2)])
def test_batch_norm_takes_the_biased_variance_of_the_batch(shape):
    x, states = np.random.default_rng(0).standard_normal(shape), norm_states()
    axes = tuple(range(len(shape) - 1))
    mean, variance = x.mean(axes), x.var(axes)
    y = run(BatchNorm(eps=0.5, momentum=0.75), x, NORM, states=states)
    expected = NORM["gamma"] * (x - mean) / np.sqrt(variance + 0.5) + NORM["beta"]
    np.testing.assert_allclose(y, expected, rtol=1e-12)
    np.testing.assert_allclose(states["running_mean"], 0.75 * np.array([1, 2]) + 0.25 * mean, rtol=1e-12)
    np.testing.assert_allclose(states["running_variance"], 0.75 * np.array([4, 9]) + 0.25 * variance, rtol=1e-12)


def test_batch_norm_predicts_with_running_statistics():
    x, states = np.random.default_rng(0).standard_normal((5, 2)), norm_states()
    y = run(BatchNorm(eps=0.5), x, NORM, training=False, states=states)
    expected = NORM["gamma"] * (x - [1, 2]) / np.sqrt(np.array([4, 9]) + 0.5) + NORM["beta"]
    np.testing.assert_allclose(y, expected, rtol=1e-12)
    np.testing.assert_equal(states, norm_states())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [0.0, 3.7, 1e30, -1e-30])
def test_batch_norm_of_one_number_gives_beta(dtype, value):
    params = {name: array.astype(dtype) for name, array in NORM.items()}
    states = {name: array.astype(dtype) for name, array in norm_states().items()}
    y = run(BatchNorm(), np.full((1, 1, 1, 2), value, dtype), params, states=states)
    np.testing.assert_allclose(y.ravel(), params["beta"], rtol=1e-6)


def test_batch_norm_of_a_constant_channel_far_from_zero():
    x = np.random.default_rng(0).standard_normal((64, 3, 3, 2)).astype(np.float32)
    x[..., 1] = 1e4
    params = {name: array.astype(np.float32) for name, array in NORM.items()}
    states = {name: array.astype(np.float32) for name, array in norm_states().items()}
    y = run(BatchNorm(), x, params, states=states)
    np.testing.assert_allclose(y[..., 1], params["beta"][1], rtol=1e-3)


@pytest.mark.parametrize("name", ["relu", "gelu"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(5, 3, 4, 2), (300, 2)])
def test_batch_norm_with_an_activation_inside_is_both_in_turn(name, training, shape):
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal(shape), rng.standard_normal(shape)
    function = activations.registry.resolve(name)
    keep = training and not function.from_output
    names = {f"a.{key}": array for key, array in norm_states().items()}
    context = Context(training, Workspace(), scope="a.", states=names)
    y, cache = BatchNorm().forward(x, NORM | norm_states(), context, Epilogue(function))
    before = run(BatchNorm(), x, NORM, training, norm_states())
    np.testing.assert_array_equal(y, function.forward(before))
    _, v = cache
    np.testing.assert_array_equal(v, before if keep else y)
    grads, alone = ({key: np.zeros(2) for key in NORM} for _ in range(2))
    inner = function.backward(dy, before, y)
    _, plain = BatchNorm().forward(x, NORM | norm_states(), context)
    dx = BatchNorm().backward(inner, cache, NORM, grads, context)
    np.testing.assert_array_equal(dx, BatchNorm().backward(inner, plain, NORM, alone, context))
    np.testing.assert_equal(grads, alone)


def test_dropout_depends_on_seed_place_epoch_and_sample_only():
    x = np.ones((6, 4, 5, 3), np.float32)
    samples = np.array([3, 1, 4, 15, 9, 2], np.int64)
    whole = run(Dropout(0.4), x, randomness=Randomness(5, 2, samples))
    for order in ([0], [5, 3, 1], [2, 0, 1, 4]):
        np.testing.assert_array_equal(
            run(Dropout(0.4), x[order], randomness=Randomness(5, 2, samples[order])), whole[order]
        )
    for other in ((6, 2), (5, 3)):
        assert not np.array_equal(run(Dropout(0.4), x, randomness=Randomness(*other, samples)), whole)
    assert set(np.unique(whole)) == {np.float32(0), np.float32(1) / np.float32(0.6)}
    assert not np.array_equal(whole[0], whole[1])


def test_dropout_drops_its_share_and_nothing_when_predicting():
    x = np.ones((100, 100), np.float64)
    assert abs((run(Dropout(0.3), x) == 0).mean() - 0.3) < 0.02
    np.testing.assert_array_equal(run(Dropout(0.3), x, training=False), x)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Conv2D(0), ValueError, "filters must be >= 1, got 0"),
        (lambda: Conv2D(2.5), TypeError, "filters must be an int, got 2.5"),
        (lambda: Conv2D(True), TypeError, "filters must be an int, got True"),
        (lambda: Conv2D(2, (3, 3, 3)), ValueError, "kernel_size must be an int or a pair"),
        (lambda: Conv2D(2, 0), ValueError, "kernel_size must be >= 1"),
        (lambda: Conv2D(2, stride=0), ValueError, "stride must be >= 1"),
        (lambda: Conv2D(2, dilation=-1), ValueError, "dilation must be >= 1"),
        (lambda: Conv2D(2, padding="full"), ValueError, "padding must be .* got 'full'"),
        (lambda: Conv2D(2, padding=-1), ValueError, "padding must be >= 0"),
        (lambda: Conv2D(4, groups=3), ValueError, "groups=3 must divide filters=4"),
        (lambda: Conv2D(2, 3, 1), TypeError, "positional"),
        (lambda: DepthwiseConv2D(multiplier=0), ValueError, "multiplier must be >= 1"),
        (lambda: DepthwiseConv2D(0), ValueError, "kernel_size must be >= 1"),
        (lambda: SeparableConv2D(0), ValueError, "filters must be >= 1"),
        (lambda: SeparableConv2D(2, stride=0), ValueError, "stride must be >= 1"),
        (lambda: Dense(0), ValueError, "units must be >= 1"),
        (lambda: Dense("8"), TypeError, "units must be an int, got '8'"),
        (lambda: MaxPool2D(0), ValueError, "pool_size must be >= 1"),
        (lambda: MaxPool2D(2, stride=0), ValueError, "stride must be >= 1"),
        (lambda: AvgPool2D(2, padding="no"), ValueError, "padding must be"),
        (lambda: Conv1D(2, (3, 3)), TypeError, r"kernel_size must be an int, got \(3, 3\)"),
        (lambda: Conv1D(2, padding=(1, 2, 3)), ValueError, r"padding must be an int, \(before, after\)"),
        (lambda: Conv1D(2, padding=((1, 1), (0, 0))), TypeError, "padding must be an int"),
        (lambda: MaxPool1D(2, stride=0), ValueError, "stride must be >= 1"),
        (lambda: Dropout(1.0), ValueError, r"rate must be in \[0, 1\), got 1.0"),
        (lambda: Dropout(float("nan")), ValueError, "rate must be"),
        (lambda: Dropout("half"), TypeError, "rate must be a float, got 'half'"),
        (lambda: Dropout(True), TypeError, "rate must be a float, got True"),
        (lambda: BatchNorm(eps="small"), TypeError, "eps must be a float, got 'small'"),
        (lambda: Conv2D(2, bias="no"), TypeError, "bias must be a bool, got 'no'"),
        (lambda: MaxPool2D(2, ceil_mode=1), TypeError, "ceil_mode must be a bool, got 1"),
        (lambda: AvgPool2D(2, count_include_pad=None), TypeError, "count_include_pad must be a bool"),
        (lambda: Residual(["conv2d"]), TypeError, "expected layers, got 'conv2d'"),
        (lambda: Residual([Conv2D]), TypeError, "expected layers, got <class"),
        (lambda: Residual([RELU], None), ValueError, "skip must be a sequence of layers, got None"),
        (lambda: Residual(Conv2D(2)), ValueError, "non-empty sequence of layers"),
        (lambda: BatchNorm(eps=0), ValueError, "eps must be > 0"),
        (lambda: BatchNorm(momentum=1.0), ValueError, r"momentum must be in \[0, 1\)"),
        (lambda: Residual(()), ValueError, "non-empty sequence of layers"),
    ],
)
def test_illegal_layers(make, error, words):
    with pytest.raises(error, match=words):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "words"),
    [
        (Conv2D(2, 7), (6, 5, 4), "kernel 7x7 .* exceeds the padded input 6x5"),
        (Conv2D(2), (20,), r"expected images of shape \(H, W, C\), got samples of shape \(20,\)"),
        (MaxPool2D(6), (5, 5, 1), "kernel 6x6 .* exceeds the padded input 5x5"),
        (MaxPool2D(2), (20,), "expected images"),
        (GlobalAvgPool2D(), (20,), "expected images"),
        (GlobalMaxPool2D(), (20, 3), "expected images"),
        (Conv1D(2), (6, 5, 4), r"expected signals of shape \(L, C\), got samples of shape \(6, 5, 4\)"),
        (GlobalMaxPool1D(), (20,), "expected signals"),
        (AvgPool1D(6), (5, 1), "kernel 1x6 .* exceeds the padded input 1x5"),
        (Dense(2), (6, 5, 4), r"expected flat samples, got shape \(6, 5, 4\): put Flatten\(\) before it"),
        (Residual((Conv2D(4),)), (6, 5, 4), r"the block gives \(4, 3, 4\), the skip path \(6, 5, 4\)"),
    ],
)
def test_shapes_that_do_not_fit(layer, shape, words):
    with pytest.raises(ValueError, match=words):
        layer.output_shape(shape)


def test_groups_that_do_not_fit():
    with pytest.raises(ValueError, match=r"^Conv2D expected channels divisible by 3, got shape \(6, 5, 4\)"):
        Conv2D(3, groups=3).parameters((6, 5, 4))


def test_lists_and_numpy_numbers_become_plain_values():
    layer = Conv2D(np.int64(4), [3, np.int32(2)], padding=[[1, 0], [0, 1]])
    assert layer == Conv2D(4, (3, 2), padding=((1, 0), (0, 1)))
    assert repr(layer).startswith("Conv2D(filters=4, kernel_size=(3, 2)")
    assert json.dumps(layer.filters) == "4"
    assert len({layer, Conv2D(4, (3, 2), padding=((1, 0), (0, 1))), Conv2D(5)}) == 2


def test_registry_is_what_pyproject_declares():
    installed = importlib.metadata.distribution("pyconvx").entry_points.select(group="pyconvx.layers")
    assert {entry.name: entry.value for entry in installed} == ENTRIES
    for name, path in ENTRIES.items():
        assert layers.registry.get(name) is getattr(layers, path.rpartition(":")[2])


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Conv2D(3, 9), (6, 6, 1)),
        (Conv2D(3, groups=3), (6, 6, 1)),
        (DepthwiseConv2D(9), (6, 6, 1)),
        (MaxPool2D(9), (6, 6, 1)),
        (AvgPool2D(2), (36,)),
        (Conv1D(3), (6, 6, 1)),
        (Dense(3), (6, 6, 1)),
    ],
)
def test_a_message_shows_a_layer_once(layer, shape):
    with pytest.raises(ValueError, match="layer 0") as raised:
        output_shapes((layer,), shape)
    assert str(raised.value).count(str(layer)) == 1
    assert "=" not in str(raised.value).partition("cannot take input")[2]
