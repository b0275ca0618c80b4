"""Concat, Bottleneck and SqueezeExcite: alone, in one another, in networks, compiled, saved, frozen."""

import warnings

import numpy as np
import oracle
import pytest
from fuzz_layers import slow_forward
from nets import outputs, pictures, trainer
from sklearn.exceptions import ConvergenceWarning

import pyconvx
from pyconvx import CNNClassifier, testing
from pyconvx._core.workspace import Workspace
from pyconvx.inspection import Summary
from pyconvx.inspection.receptive_field import receptive_fields
from pyconvx.layers import (
    Activation,
    BatchNorm,
    Bottleneck,
    Concat,
    Context,
    Conv1D,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    MaxPool2D,
    Residual,
    SeparableConv2D,
    SqueezeExcite,
)
from pyconvx.network import Network
from pyconvx.network.compiled import CompiledNetwork

RELU = Activation("relu")
INCEPTION = Concat(
    [Conv2D(2, 1, bias=False), BatchNorm(), RELU],
    [Conv2D(3, 1), Activation("gelu"), Conv2D(3, padding="same"), BatchNorm(), RELU],
    [MaxPool2D(3, stride=1, padding=1), Conv2D(1, 1)],
    [],
)
IMAGE_LAYERS = [
    INCEPTION,
    Concat([]),
    Concat([], []),
    Concat([Conv2D(1)]),
    Concat([Conv2D(3, stride=2, padding="same")], [MaxPool2D(2, padding="same")]),
    Concat([Dropout(0.3)], [SeparableConv2D(2, padding="same"), RELU]),
    Concat([Concat([RELU], []), BatchNorm()], [Residual([Conv2D(4, padding="same")]), SqueezeExcite(2)]),
    Concat([Bottleneck(1), RELU], [Activation("tanh")]),
    Residual([Concat([Conv2D(3, 1), RELU], [Conv2D(1, 1)]), SqueezeExcite(2)]),
    Residual([Bottleneck(1)], [Bottleneck(1), RELU]),
    Bottleneck(1),
    Bottleneck(2, projection=True),
    Bottleneck(2, stride=2, activation="gelu"),
    Bottleneck(3, stride=(1, 2), expansion=1),
    SqueezeExcite(),
    SqueezeExcite(1, initializer="he_normal"),
    SqueezeExcite(2),
]
SIGNAL_LAYERS = [
    Concat([Conv1D(3, 5, padding="same"), BatchNorm(), RELU], [Conv1D(2, 1)], []),
    Bottleneck(1, spatial_dims=1),
    Bottleneck(2, stride=2, spatial_dims=1),
    SqueezeExcite(3),
    Residual([Concat([Conv1D(3, 1), RELU], [Conv1D(1, 1), SqueezeExcite(1)])]),
]
STACK = (
    Conv2D(4, padding="same", bias=False),
    BatchNorm(),
    RELU,
    INCEPTION,
    Bottleneck(2, projection=True),
    RELU,
    SqueezeExcite(2),
    Bottleneck(3, stride=2),
    RELU,
    Concat([SqueezeExcite(4)], [Residual([Conv2D(12, 1, bias=False), BatchNorm()]), RELU]),
    GlobalAvgPool2D(),
    Dense(3),
)


def run(layer, x, params, states):
    """The output of a layer outside training."""
    context = Context(
        False, Workspace(), scope="a.", states={f"a.{name}": array for name, array in states.items()}
    )
    return layer.forward(x, params | states, context)[0].copy()


@pytest.mark.parametrize("layer", IMAGE_LAYERS, ids=str)
def test_contract_on_maps(layer):
    testing.check_layer(layer)


@pytest.mark.parametrize("layer", SIGNAL_LAYERS, ids=str)
def test_contract_on_signals(layer):
    testing.check_layer(layer, (9, 4))


def test_contract_on_vectors_and_thin_maps():
    testing.check_layer(Concat([Dense(3), RELU], [], [Dropout(0.2), BatchNorm()]), (7,))
    for shape in ((1, 1, 1), (1, 7, 4), (5, 1, 33)):
        testing.check_layer(SqueezeExcite(), shape)
        testing.check_layer(Bottleneck(2, projection=True), shape)
        testing.check_layer(Concat([Conv2D(3, 1)], []), shape)


@pytest.mark.parametrize(
    ("layer", "shape"), [*((a, (6, 5, 4)) for a in IMAGE_LAYERS), *((a, (9, 4)) for a in SIGNAL_LAYERS)], ids=str
)
def test_against_the_oracle(layer, shape):
    rng = np.random.default_rng(0)
    x = oracle.integer_array(rng, (3, *shape))
    specs = layer.parameters(shape)
    arrays = {name: rng.uniform(0.2, 1, spec.shape) for name, spec in specs.items()}
    states = {name: arrays[name] for name, spec in specs.items() if spec.kind == "state"}
    params = {name: array for name, array in arrays.items() if name not in states}
    expected = slow_forward(layer, x, arrays)
    np.testing.assert_allclose(run(layer, x, params, states), expected, rtol=1e-12, atol=1e-12)


def test_names_of_parameters():
    names = list(Concat([Conv2D(2, 1)], [], [RELU, Conv2D(3, 1, bias=False)]).parameters((6, 5, 4)))
    assert names == ["path_1.conv2d_1.kernel", "path_1.conv2d_1.bias", "path_3.conv2d_1.kernel"]
    assert [*Bottleneck(1, stride=2).parameters((6, 5, 4))][-5:] == [
        "skip.conv2d_1.kernel",
        *(f"skip.batchnorm_1.{name}" for name in ("gamma", "beta", "running_mean", "running_variance")),
    ]
    dense = {name: spec.shape for name, spec in SqueezeExcite().parameters((6, 5, 40)).items()}
    assert dense == {
        "dense_1.weights": (40, 2), "dense_1.bias": (2,), "dense_2.weights": (2, 40), "dense_2.bias": (40,),
    }  # fmt: skip


def test_number_of_parameters():
    """As the first blocks of ResNet-50, which has 64 channels before them, and of its second stage."""

    def count(layer, shape):
        specs = layer.parameters(shape).values()
        return sum(int(np.prod(spec.shape)) for spec in specs if spec.kind != "state")

    assert count(Bottleneck(64, projection=True), (56, 56, 64)) == 75_008
    assert count(Bottleneck(64), (56, 56, 256)) == 70_400
    assert count(Bottleneck(128, stride=2), (56, 56, 256)) == 379_392
    assert count(SqueezeExcite(16), (7, 7, 512)) == 2 * 512 * 32 + 32 + 512
    assert SqueezeExcite(16).multiplications((7, 7, 512)) == 2 * 512 * 32 + 49 * 512
    assert Bottleneck(2, stride=2).multiplications((6, 6, 4)) == 36 * 8 + 9 * 36 + 9 * 16 + 9 * 32


def test_a_whole_network_in_training_and_compiled():
    X, y = pictures(24)
    seen, trained = set(), {}
    for n_threads in (1, 2, 3):
        network = Network(STACK, (8, 7, 2), dtype=np.float64)
        trainer(network, X, y, batch_size=8, n_threads=n_threads).run(2)
        seen.add(network.buffer.tobytes())
        trained[n_threads] = network
    assert len(seen) == 1
    network = trained[2]
    expected = outputs(network, X)
    found = set()
    for n_threads in (1, 2, 3):
        program, x, out = CompiledNetwork(network, n_threads).program(24)
        x[...] = X
        program.run()
        np.testing.assert_allclose(out, expected, rtol=1e-11, atol=1e-11)
        found.add(out.tobytes())
    assert len(found) == 1


def norms(layers):
    """The batch norms in layers, on all paths."""
    inner = sum(norms(path) for layer in layers for path in layer.parts())
    return inner + sum(isinstance(layer, BatchNorm) for layer in layers)


def test_batch_norms_inside_are_folded():
    network = Network(STACK, (8, 7, 2))
    assert norms(network.layers) == 1 + 2 + 4 + 4 + 1
    assert norms(CompiledNetwork(network, 1)._layers) == 0


def fitted(**options):
    X, y = pictures(30, dtype=np.float32)
    clf = CNNClassifier(layers=STACK[:-1], max_iter=3, batch_size=10, random_state=0, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return clf.fit(X, y), X


def test_saved_and_loaded(tmp_path):
    clf, X = fitted()
    clf.save(tmp_path / "blocks.pyconvx")
    loaded = pyconvx.load(tmp_path / "blocks.pyconvx")
    assert loaded.network_.layers == clf.network_.layers
    np.testing.assert_array_equal(loaded.predict_proba(X), clf.predict_proba(X))
    compiled = loaded.compile_predictor()
    np.testing.assert_allclose(compiled(X), clf.predict_proba(X), rtol=1e-4, atol=1e-5)


def test_frozen_inside():
    frozen = ["concat_1.path_2", "bottleneck_1.skip", "squeezeexcite_1.dense_2", "bottleneck_2.conv2d_1.kernel"]
    clf, X = fitted(frozen=frozen)
    before = {name: array.copy() for name, array in clf.network_.parameters.items()}
    fixed = {name for name in before if any(f"{name}.".startswith(f"{one}.") for one in frozen)}
    assert len(fixed) == 8 + 5 + 2 + 1
    clf.partial_fit(X, np.arange(30) % 3)
    same = {name for name, array in clf.network_.parameters.items() if np.array_equal(array, before[name])}
    assert same == fixed


def test_receptive_fields():
    def sees(*layers):
        return receptive_fields(layers, (40, 40, 4))[-1]

    assert sees(INCEPTION) == (3, 3)
    assert sees(Conv2D(4), Concat([Conv2D(2, 5, padding="same")], []), Conv2D(2)) == (9, 9)
    assert sees(Bottleneck(1)) == (3, 3)
    assert sees(Bottleneck(1, stride=2), Conv2D(1)) == (7, 7)
    assert sees(SqueezeExcite(2)) == (40, 40)
    assert receptive_fields((Bottleneck(1, spatial_dims=1),), (20, 4)) == [(3,)]


def test_summary():
    rows = {row.name: row for row in Summary(STACK, (8, 7, 2)).rows}
    assert rows["concat_1"].output_shape == (8, 7, 2 + 3 + 1 + 4)
    assert rows["bottleneck_2"].output_shape == (4, 4, 12)
    network = Network(STACK, (8, 7, 2))
    assert sum(row.n_parameters for row in rows.values()) == network.n_parameters


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Concat(), ValueError, "one or more sequences of layers"),
        (lambda: Concat(paths=RELU), ValueError, "one or more sequences of layers"),
        (lambda: Concat([RELU], paths=[[RELU]]), TypeError, "not both"),
        (lambda: Concat([RELU], RELU), ValueError, "path 2 must be a sequence of layers, got Activation"),
        (lambda: Concat([RELU, "conv"]), TypeError, "Concat: expected layers, got 'conv'"),
        (lambda: Concat([Conv2D]), TypeError, "expected layers, got <class"),
        (lambda: Bottleneck(0), ValueError, "filters must be >= 1, got 0"),
        (lambda: Bottleneck(2.0), TypeError, "filters must be an int"),
        (lambda: Bottleneck(2, expansion=0), ValueError, "expansion must be >= 1"),
        (lambda: Bottleneck(2, stride=0), ValueError, "stride must be >= 1"),
        (lambda: Bottleneck(2, projection=1), TypeError, "projection must be a bool or None, got 1"),
        (lambda: Bottleneck(2, spatial_dims=3), ValueError, "spatial_dims must be 1 or 2, got 3"),
        (lambda: SqueezeExcite(0), ValueError, "ratio must be >= 1, got 0"),
        (lambda: SqueezeExcite("16"), TypeError, "ratio must be an int, got '16'"),
    ],
)
def test_illegal_layers(make, error, words):
    with pytest.raises(error, match=words):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "words"),
    [
        (
            Concat([Conv2D(2)], []),
            (6, 5, 4),
            r"Concat: the branches give \(4, 3, 2\), \(6, 5, 4\): .*padding='same'",
        ),
        (Concat([Flatten()], []), (6, 5, 4), r"the branches give \(120,\), \(6, 5, 4\)"),
        (Bottleneck(2), (6, 5, 4), r"the block gives \(6, 5, 8\), the skip path \(6, 5, 4\): set projection=True"),
        (Bottleneck(1), (9, 4), "expected images"),
        (Bottleneck(1, spatial_dims=1), (6, 5, 4), "expected signals"),
        (SqueezeExcite(), (20,), r"expected images \(H, W, C\) or signals \(L, C\), got samples of shape \(20,\)"),
    ],
)
def test_shapes_that_do_not_fit(layer, shape, words):
    with pytest.raises(ValueError, match=words):
        layer.output_shape(shape)


def test_a_block_of_other_axes_names_spatial_dims():
    with pytest.raises(ValueError, match="Bottleneck needs spatial_dims=1"):
        CNNClassifier(layers=[Bottleneck(1, spatial_dims=1)]).summary((8, 7, 4), n_classes=3)


def test_paths_by_position_and_by_name_are_one_value():
    one, other = Concat([RELU], []), Concat(paths=[(RELU,), []])
    assert one == other
    assert hash(one) == hash(other)
    assert eval(repr(INCEPTION)) == INCEPTION
