"""The named architectures: shapes, numbers of parameters, training, and their way through the estimators."""

import dataclasses
import itertools
import re
import warnings

import numpy as np
import pytest
from nets import trainer
from places import ROOT
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

import pyconvx
from pyconvx import CNNClassifier, CNNRegressor, architectures, testing
from pyconvx.architectures import (
    FCN1D,
    AllConv224,
    Digits,
    InceptionSmall,
    InceptionTime,
    Letters,
    MobileNetSmall,
    ResNet,
    ResNet1D,
    ResNet18,
    VGGSmall,
    registry,
)
from pyconvx.architectures.base import BuiltIn
from pyconvx.exceptions import PluginError
from pyconvx.inspection import Summary
from pyconvx.layers import BatchNorm, Concat, Conv2D, Dense, Flatten, MaxPool2D, Residual
from pyconvx.layers.sequence import leaves, output_shapes
from pyconvx.network import Network
from pyconvx.network.compiled import CompiledNetwork
from pyconvx.registry.guard import unguarded

SMALL = {  # quick to train on little data
    "allconv224": (AllConv224(), (32, 32, 3)),
    "digits": (Digits(16), (14, 13, 1)),
    "fcn1d": (FCN1D(8), (21, 2)),
    "inception_small": (InceptionSmall(), (9, 10, 1)),
    "inceptiontime": (InceptionTime(filters=4, bottleneck=4), (33, 1)),
    "letters": (Letters(), (28, 28, 1)),
    "mobilenet_small": (MobileNetSmall(0.25), (13, 12, 3)),
    "resnet18": (ResNet18(8), (33, 35, 3)),
    "resnet1d": (ResNet1D(8), (21, 2)),
    "resnet_small": (ResNet(8, 4), (13, 12, 3)),
    "vgg_small": (VGGSmall((4, 8), 16), (9, 10, 3)),
}


def table(name, n_outputs, shape=None):
    """The summary of an architecture with an output layer."""
    made = registry.get(name)
    shape = shape or made.made_for
    return Summary((*made.layers(shape), Dense(n_outputs)), shape)


def built_in():
    """The names that come with pyconvx; plugin packages may be installed beside it."""
    return {name for name in registry.names() if isinstance(unguarded(registry.get(name)), BuiltIn)}


def test_all_are_here():
    assert set(SMALL) == built_in()


@pytest.mark.parametrize(
    ("name", "n_outputs", "parameters"),
    [
        ("digits", 10, 225_034),
        ("letters", 26, 137_178),
        ("resnet_small", 10, 272_474),
        ("resnet18", 1000, 11_689_512),
        ("inception_small", 10, 1_649_402 + 1_712),
        ("allconv224", 10, 3_918_464 + 5_130),
        ("fcn1d", 2, 264_450),
        ("resnet1d", 2, 503_106),
        ("inceptiontime", 2, 420_450),
        ("mobilenet_small", 10, 141_994),
        ("vgg_small", 10, 551_146),
    ],
)
def test_number_of_parameters(name, n_outputs, parameters):
    assert table(name, n_outputs).n_parameters == parameters


def norms(n):
    """Parameters of a batch norm."""
    return 2 * n


def test_numbers_of_parameters_by_hand():
    """As sums of kernels and batch norms, for those whose papers give none."""
    fcn = 8 * 128 + 5 * 128 * 256 + 3 * 256 * 128 + norms(128) + norms(256) + norms(128) + 129 * 2
    assert table("fcn1d", 2).n_parameters == fcn

    def block(inputs, n):
        convs = 8 * inputs * n + 5 * n * n + 3 * n * n + 3 * norms(n)
        return convs + norms(n) + (inputs * n if inputs != n else 0)

    assert table("resnet1d", 2).n_parameters == block(1, 64) + block(64, 128) + block(128, 128) + 129 * 2

    def module(inputs, seen):
        narrow = inputs * seen if inputs > 1 else 0
        return narrow + (40 + 20 + 10) * seen * 32 + inputs * 32 + norms(128)

    skips = (1 + 128) * 128 + 2 * norms(128)
    assert table("inceptiontime", 2).n_parameters == module(1, 1) + 5 * module(128, 32) + skips + 129 * 2
    n = 3
    first = 9 * 3 * 16 + norms(16) + n * 2 * (9 * 16 * 16 + norms(16))
    later = sum(
        9 * (w // 2) * w + (2 * n - 1) * 9 * w * w + 2 * n * norms(w) + (w // 2) * w + norms(w) for w in (32, 64)
    )
    assert table("resnet_small", 10).n_parameters == first + later + 65 * 10
    widths = (16, 32, 64, 64, 128, 128, 256, 256)
    separable = sum(9 * a + norms(a) + a * b + norms(b) for a, b in itertools.pairwise(widths))
    assert table("mobilenet_small", 10).n_parameters == 27 * 16 + norms(16) + separable + 257 * 10
    vgg = sum(9 * a * b + 9 * b * b + 2 * norms(b) for a, b in ((3, 32), (32, 64), (64, 128)))
    assert table("vgg_small", 10).n_parameters == vgg + 16 * 128 * 128 + norms(128) + 129 * 10


def test_the_maps_of_their_sources():
    shapes = [row.output_shape for row in table("digits", 10).rows]
    assert shapes[0] == (26, 26, 32)
    assert (1600,) in shapes
    maps = [row.output_shape for row in table("letters", 26).rows if row.name.startswith("maxpool")]
    assert maps == [(13, 13, 32), (6, 6, 64), (2, 2, 128)]
    maps = [row.output_shape for row in table("allconv224", 10).rows if row.name.startswith("conv")]
    assert maps == [(112, 112, 64), (56, 56, 128), (28, 28, 256), (14, 14, 512), (7, 7, 512)]
    fields = {row.name: row.receptive_field for row in table("allconv224", 10).rows}
    assert fields["conv2d_5"] == (67, 67)
    maps = [row.output_shape for row in table("inception_small", 10).rows if row.name.startswith("concat")]
    assert [shape[-1] for shape in maps] == [64, 80, 160, 160, 160, 160, 144, 240, 336, 336]
    assert [shape[0] for shape in maps] == [28] * 2 + [14] * 5 + [7] * 3
    maps = [row.output_shape for row in table("resnet18", 10).rows if row.name.startswith("residual")]
    assert maps == [(56, 56, 64)] * 2 + [(28, 28, 128)] * 2 + [(14, 14, 256)] * 2 + [(7, 7, 512)] * 2
    assert 1.8e9 < table("resnet18", 1000).flops / 2 < 1.83e9  # 1.8 billion in the paper
    assert len({row.output_shape for row in table("fcn1d", 2, (77, 3)).rows[:-2]}) == 2  # 77 x 128 and 77 x 256


def test_depth_of_the_residual_networks():
    for depth in (8, 20, 32, 44, 56, 110):
        layers = [layer for _, layer in leaves(ResNet(depth).layers((32, 32, 3)))]
        on_paths = sum(isinstance(layer, Conv2D) and layer.kernel_size == 3 for layer in layers)
        assert on_paths + 1 == depth  # and the output layer
    eighteen = [layer for _, layer in leaves(ResNet18().layers((224, 224, 3)))]
    assert sum(isinstance(layer, Conv2D) and layer.kernel_size != 1 for layer in eighteen) + 1 == 18


def test_skip_paths_of_inceptiontime():
    for depth, blocks, alone in ((1, 0, 1), (3, 1, 0), (6, 2, 0), (8, 2, 2)):
        layers = InceptionTime(depth).layers((60, 3))
        assert sum(isinstance(layer, Residual) for layer in layers) == blocks
        assert sum(isinstance(layer, Concat) for layer in layers) == alone


@pytest.mark.parametrize("name", SMALL)
def test_small_ones_pass_the_check(name):
    testing.check_architecture(*SMALL[name])


@pytest.mark.parametrize("name", SMALL)
def test_it_learns(name):
    """A few steps on a few samples: the loss falls; compiled outputs are those of the network; threads agree."""
    made, shape = SMALL[name]
    rng = np.random.default_rng(0)
    y = np.arange(12) % 3
    X = (rng.standard_normal((12, *shape)) / 2 + (y - 1).reshape(-1, *[1] * len(shape))).astype(np.float32)
    seen = set()
    for n_threads in (1, 2, 3):
        network = Network((*made.layers(shape), Dense(3)), shape)
        training = trainer(network, X, y, batch_size=12, n_threads=n_threads)
        training.run(20)
        losses = training.state.loss_curve
        assert losses[-1] < 0.7 * losses[0], losses
        seen.add(network.buffer.tobytes())
    assert len(seen) == 1
    compiled = CompiledNetwork(network, 2)
    left = [layer for _, layer in leaves(compiled._layers) if isinstance(layer, BatchNorm)]
    # one after a sum of branches, and one on a skip path alone, have no convolution before them
    kept = {"inceptiontime": 6, "resnet1d": 1}
    assert len(left) == kept.get(name, 0)


@pytest.mark.parametrize("name", SMALL)
def test_a_value(name):
    made = registry.get(name)
    assert clone(made) == made
    assert made.get_params() == {field.name: getattr(made, field.name) for field in dataclasses.fields(made)}
    assert registry.identify(made)[0].name == name
    assert eval(repr(made), vars(architectures)) == made


@pytest.mark.parametrize("name", SMALL)
def test_inputs_that_do_not_fit(name):
    made = registry.get(name)
    kind = type(made).__name__
    other, words = ((40, 2), "images") if len(made.made_for) == 3 else ((40, 40, 2), "signals")
    with pytest.raises(ValueError, match=rf"^{kind} is for {words}.*{re.escape(str(other))}.*spatial_dims=[12]$"):
        made.layers(other)
    with pytest.raises(ValueError, match="spatial_dims"):
        CNNClassifier(layers=name, spatial_dims=1 if words == "images" else 2).summary(other, n_classes=3)


@pytest.mark.parametrize(
    ("made", "shape", "words"),
    [
        (
            Digits(),
            (8, 8, 1),
            r"^Digits is made for .* got \(8, 8, 1\): layer 5, MaxPool",
        ),
        (Letters(), (5, 30, 1), r"^Letters is made for .*\(5, 30, 1\)"),
        (VGGSmall(), (7, 40, 3), r"^VGGSmall is made for samples of shape \(32, 32, 3\), got \(7, 40, 3\)"),
        (ResNet(depth=21), (32, 32, 3), r"^ResNet: depth must be 6 n \+ 2, such as 20 or 32, got 21$"),
        (ResNet(width=0), (32, 32, 3), "ResNet: width must be >= 1, got 0"),
        (Digits("128"), (28, 28, 1), "Digits: units must be an int, got '128'"),
        (MobileNetSmall(0.0), (32, 32, 3), "alpha must be above 0"),
        (InceptionTime(0), (32, 3), "InceptionTime: depth must be >= 1"),
    ],
)
def test_what_is_refused(made, shape, words):
    with pytest.raises((ValueError, TypeError), match=words):
        made.layers(shape)


@pytest.mark.parametrize("size", [33, 45, 64])
@pytest.mark.parametrize("name", [name for name, (made, _) in SMALL.items() if len(made.made_for) == 3])
def test_odd_sizes_of_images(name, size):
    shape = (size, size + 3, 2)
    shapes = output_shapes(registry.get(name).layers(shape), shape)
    assert len(shapes[-1]) == 1


@pytest.mark.parametrize("length", [1, 2, 7, 1001])
@pytest.mark.parametrize("name", ["fcn1d", "resnet1d", "inceptiontime"])
def test_signals_of_any_length(name, length):
    assert output_shapes(registry.get(name).layers((length, 3)), (length, 3))[-1] == (128,)


# --- through the estimators -------------------------------------------------------------------------


def pictures(shape=(14, 14, 1), n=24):
    rng = np.random.default_rng(0)
    y = np.arange(n) % 3
    return (rng.uniform(0, 1, (n, *shape)) + y.reshape(-1, *[1] * len(shape)) / 2).astype(np.float32), y


def fit(estimator, *data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(*data)


def test_by_name_as_an_object_and_as_layers():
    X, y = pictures()
    options = {"max_iter": 2, "random_state": 0}
    layers = Digits().layers((14, 14, 1))
    fits = [fit(CNNClassifier(layers=given, **options), X, y) for given in ("digits", Digits(), Digits, layers)]
    assert len({clf.network_.buffer.tobytes() for clf in fits}) == 1
    assert fits[0].network_.layers == (*layers, Dense(3, initializer="xavier_uniform"))
    np.testing.assert_array_equal(fits[0].predict(X), fits[3].predict(X))


def test_parameters_of_the_architecture_are_the_estimator_s():
    clf = CNNClassifier(layers=ResNet(8, width=4))
    assert clf.get_params()["layers__width"] == 4
    clf.set_params(layers__width=2)
    assert clf.layers == ResNet(8, 2)
    assert clone(clf).layers == ResNet(8, 2)
    assert "layers=ResNet(depth=8, width=2)" in repr(clf)
    assert "layers='digits'" in repr(CNNClassifier(layers="digits"))


def test_in_a_grid():
    X, y = pictures()
    grid = GridSearchCV(
        CNNClassifier(max_iter=1, random_state=0),
        [{"layers": ["digits", ResNet(8, 4)]}, {"layers": [ResNet(8)], "layers__width": [2, 3]}],
        cv=2,
    )
    fit(grid, X, y)
    assert [params["layers"] for params in grid.cv_results_["params"]][:2] == ["digits", ResNet(8, 4)]
    assert len(grid.cv_results_["params"]) == 4
    assert np.isfinite(grid.cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize("given", ["digits", ResNet(8, 4)], ids=str)
def test_saved_and_loaded(given, tmp_path):
    X, y = pictures()
    clf = fit(CNNClassifier(layers=given, max_iter=2, random_state=0), X, y)
    clf.save(tmp_path / "model.pyconvx", for_training=True)
    loaded = pyconvx.load(tmp_path / "model.pyconvx")
    assert loaded.layers == given
    assert type(loaded.layers) is type(given)
    np.testing.assert_array_equal(loaded.predict_proba(X), clf.predict_proba(X))
    np.testing.assert_array_equal(loaded.partial_fit(X, y).network_.buffer, clf.partial_fit(X, y).network_.buffer)


def test_signals_and_numbers():
    X, y = pictures((40, 2))
    clf = fit(CNNClassifier(layers=FCN1D(8), spatial_dims=1, max_iter=2, random_state=0), X, y)
    assert clf.predict(X).shape == (24,)
    rows = clf.summary().rows
    assert rows[-2].name == "globalavgpool1d_1"
    assert fit(CNNRegressor(layers="digits", max_iter=1, random_state=0), pictures()[0], y).predict(
        pictures()[0]
    ).shape == (24,)


def test_a_map_at_the_end_is_flattened():
    class MapsOnly:
        made_for = (6, 6, 1)

        def layers(self, input_shape):
            return [Conv2D(2), MaxPool2D(2)]

    clf = fit(CNNClassifier(layers=MapsOnly(), max_iter=1, random_state=0), *pictures((6, 6, 1)))
    assert clf.network_.layers[2:3] == (Flatten(),)


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ("digit", PluginError, "unknown architecture 'digit': did you mean 'digits'"),
        (Conv2D(3), ValueError, "must be a sequence of layers or the name of one of pyconvx.architectures"),
        (5, ValueError, "must be a sequence of layers"),
        ({"a": 1}, ValueError, "must be a sequence of layers"),
        (Digits(0), ValueError, "units must be >= 1, got 0"),
    ],
)
def test_what_estimators_refuse(given, error, words):
    with pytest.raises(error, match=words):
        CNNClassifier(layers=given).fit(*pictures())


def result_of(found):
    """An architecture of another package that returns something."""

    class Foreign:
        made_for = (6, 6, 1)

        def layers(self, input_shape):
            if isinstance(found, Exception):
                raise found
            return found

    return Foreign()


@pytest.mark.parametrize(
    ("found", "error", "words"),
    [
        (None, PluginError, r"architecture .*Foreign: layers returned None, expected a sequence of layers"),
        ([3], PluginError, "layers raised TypeError: 3 has no method"),
        ([Flatten], PluginError, "layers returned <class .*Flatten.*expected layers, not their classes"),
        (RuntimeError("boom"), PluginError, "layers raised RuntimeError: boom"),
        (ValueError("only squares"), ValueError, "^only squares$"),
    ],
)
def test_guard(found, error, words):
    with pytest.raises(error, match=words):
        CNNClassifier(layers=result_of(found)).fit(*pictures())


ROW = re.compile(r"^\| `(\w+)` \| `(\w+)` \| ([\dx]+) \| ([\d,]+) \| ([\d.]+) M \|", re.MULTILINE)


def test_the_table_of_the_documents():
    page = (ROOT / "docs" / "guide" / "architectures.md").read_text()
    rows = {name: rest for name, *rest in ROW.findall(page)}
    assert set(rows) == set(SMALL)
    for name, (kind, shape, parameters, millions) in rows.items():
        made = registry.get(name)
        assert type(made).__name__ == kind
        assert "x".join(map(str, made.made_for)) == shape
        outputs = {"letters": 26, "resnet18": 1000, "allconv224": 1000}.get(name, 10)
        found = table(name, outputs)
        assert f"{found.n_parameters:,}" == parameters
        assert f"{found.flops / 2e6:.3g}" == millions or f"{found.flops / 2e6:.0f}" == millions
