"""Looking into a classifier: summary, feature maps, repr."""

import numpy as np
import pytest
from small import fitted, images, quick

from pyconvx import CNNClassifier, activations
from pyconvx.inspection import Summary
from pyconvx.inspection.receptive_field import ReceptiveField, receptive_fields
from pyconvx.layers import (
    Activation,
    AvgPool2D,
    BatchNorm,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Flatten,
    GlobalAvgPool2D,
    MaxPool2D,
    Residual,
    SeparableConv2D,
)
from pyconvx.ops.geometry import window

X, Y = images(shape=(7, 6, 2))
RELU = Activation("relu")
DIGITS = CNNClassifier((32, 64), padding="valid")


def test_summary_of_the_digits_network():
    table = DIGITS.summary((28, 28))
    assert table.n_parameters == 225_034
    shown = [(row.output_shape, row.n_parameters) for row in table.rows if "activation" not in row.name]
    assert shown == [
        ((26, 26, 32), 320),
        ((13, 13, 32), 0),
        ((11, 11, 64), 18_496),
        ((5, 5, 64), 0),
        ((1600,), 0),
        ((128,), 204_928),
        ((10,), 1_290),
    ]
    fields = [row.receptive_field for row in table.rows if row.name.startswith(("conv", "max"))]
    assert fields == [(3, 3), (4, 4), (8, 8), (10, 10)]
    assert table.rows[-1].receptive_field is None
    assert table.flops == 2 * (26 * 26 * 32 * 9 + 11 * 11 * 64 * 9 * 32 + 1600 * 128 + 128 * 10)
    assert table.rows[0].n_bytes == 26 * 26 * 32 * 4
    assert table.n_bytes == sum(row.n_bytes for row in table.rows)


def test_summary_as_text():
    text = str(DIGITS.summary((28, 28, 1)))
    lines = text.splitlines()
    assert lines[0].split()[0] == "layer"
    assert lines[-1].split()[:3] == ["total", "float32", "225,034"]
    assert "conv2d_1" in text
    assert "26x26x32" in text
    assert "3x3" in text
    assert repr(DIGITS.summary((28, 28))) == text
    assert len({len(line) for line in lines if set(line) == {"-"}}) == 1


def test_summary_as_html():
    markup = DIGITS.set_params(activation="relu").summary((28, 28))._repr_html_()
    assert markup.startswith("<table>")
    assert markup.count("<tr>") == markup.count("</tr>") == 2 + len(DIGITS.summary((28, 28)).rows) + 1
    assert "225,034" in markup
    odd = Summary((Activation(activations.relu), Activation("<b>")), (3, 3, 1))._repr_html_()
    assert "<b>" not in odd


def test_summary_after_fit_and_before():
    clf = fitted(X, Y, batch_norm=True)
    assert str(clf.summary()) == str(quick(batch_norm=True, dtype="float64").summary((7, 6, 2), n_classes=3))
    assert clf.summary().n_parameters == clf.n_parameters_
    first = quick(data_format="channels_first").summary((2, 7, 6))
    assert first.rows[0].output_shape == (7, 6, 4)
    with pytest.raises(ValueError, match=r"before fit, give a shape: summary\(\(28, 28, 1\)\)"):
        quick().summary()
    with pytest.raises(ValueError, match="layer 0, Conv2D"):
        quick(layers=[Conv2D(3, 9)]).summary((5, 5))
    assert not hasattr(quick(), "network_")


@pytest.mark.parametrize("shape", [(28,), (28, 28, 1, 1), (0, 28), (-3, 5, 1), "ab", (2.5, 3)])
def test_summary_of_a_shape_that_is_none(shape):
    with pytest.raises((ValueError, TypeError), match="shape"):
        quick().summary(shape)


def sees(*layers, size=40):
    return receptive_fields(layers, (size, size, 2))[-1]


def test_receptive_fields():
    assert sees(Conv2D(2), Conv2D(2)) == sees(Conv2D(2, 5)) == (5, 5)
    assert sees(Conv2D(2), Conv2D(2), Conv2D(2)) == sees(Conv2D(2, 7)) == (7, 7)
    assert sees(Conv2D(2, dilation=2)) == (5, 5)
    assert sees(Conv2D(2, stride=2), Conv2D(2, stride=2), Conv2D(2)) == (15, 15)
    assert sees(Conv2D(2, 7, stride=2, padding=3), MaxPool2D(3, stride=2, padding=1)) == (11, 11)
    assert sees(Conv2D(2, (3, 1)), AvgPool2D((1, 2)), Conv2D(2)) == (5, 6)
    assert sees(DepthwiseConv2D(), Conv2D(2, 1)) == sees(SeparableConv2D(2)) == (3, 3)
    assert sees(Residual((Conv2D(2, padding="same"), RELU, Conv2D(2, padding="same"))), Conv2D(2)) == (7, 7)
    assert sees(BatchNorm(), RELU) == (1, 1)
    assert sees(GlobalAvgPool2D(), size=9) == (9, 9)
    assert receptive_fields((RELU, Dense(3)), (9,)) == [(1,), None]
    assert receptive_fields((Conv2D(2), Flatten(), Dense(3), RELU), (9, 9, 1)) == [(3, 3), (3, 3), None, None]


def test_receptive_fields_are_no_larger_than_the_input():
    layers = (Conv2D(2, (3, 3)), Conv2D(2, (3, 3)), Conv2D(2, (2, 3)))
    assert receptive_fields(layers, (6, 20, 1)) == [(3, 3), (5, 5), (6, 7)]
    assert "14x14" not in str(CNNClassifier(filters=(8, 8, 8)).summary((8, 8), n_classes=3))


def test_receptive_fields_of_signals():
    """A signal reaches the kernels as an image with one row; its field has one axis."""
    field = ReceptiveField.of_input(1)
    assert field.through(None) == field == ReceptiveField((1,), (1,))
    first = field.through(window("signal", (1, 40), (1, 3), stride=(1, 2)))
    assert first == ReceptiveField((3,), (2,))
    assert first.through(window("signal", (1, 19), (1, 4), dilation=(1, 3))) == ReceptiveField((21,), (2,))


@pytest.mark.parametrize(
    "layers",
    [
        (Conv2D(2), MaxPool2D(2), Conv2D(2, dilation=2)),
        (Conv2D(2, 4, stride=3), AvgPool2D(3, stride=1), Conv2D(2, 2)),
        (SeparableConv2D(3, stride=2), Residual((Conv2D(3, padding="same"),)), Conv2D(1)),
    ],
)
def test_receptive_field_is_what_a_cell_depends_on(layers):
    """Change one pixel at a time: those that move the middle cell span the field."""
    x, y = images(8, (29, 29, 1), n_classes=2)
    clf = fitted(x, y, layers=[*layers, Flatten()], max_iter=1)
    place = len(layers) - 1
    probe = np.repeat(x[:1], 29 * 29, axis=0)
    for i in range(29 * 29):
        probe[i].ravel()[i] += 50
    base, maps = clf.feature_maps(x[:1], place)[0], clf.feature_maps(probe, place)
    middle = base.shape[0] // 2
    moved = (maps[:, middle, middle] != base[middle, middle]).any(axis=1).reshape(29, 29)
    spans = tuple(np.ptp(np.flatnonzero(moved.any(axis=axis))) + 1 for axis in (1, 0))
    assert spans == clf.summary().rows[place].receptive_field


def test_feature_maps_by_name_and_place():
    clf = fitted(X, Y, padding="valid")
    names = clf.network_.names
    assert names[:4] == ("conv2d_1", "activation_1", "maxpool2d_1", "flatten_1")
    for place, name in enumerate(names):
        maps = clf.feature_maps(X, name)
        assert maps.shape == (30, *clf.network_.shapes[place])
        np.testing.assert_array_equal(maps, clf.feature_maps(X, place))
        np.testing.assert_array_equal(maps, clf.feature_maps(X, place - len(names)))
    np.testing.assert_array_equal(clf.feature_maps(X, -1), clf.decision_function(X))
    before, after = clf.feature_maps(X, "conv2d_1"), clf.feature_maps(X, "activation_1")
    np.testing.assert_array_equal(after, np.maximum(before, 0))
    assert (before < 0).any()


def test_feature_maps_are_the_layers_by_hand():
    clf = fitted(X, Y, padding="valid", activation="tanh")
    params = clf.network_.parameters
    windows = np.lib.stride_tricks.sliding_window_view(X, (3, 3), axis=(1, 2))
    conv = np.einsum("nijcmk,mkco->nijo", windows, params["conv2d_1.kernel"]) + params["conv2d_1.bias"]
    np.testing.assert_allclose(clf.feature_maps(X, "conv2d_1"), conv, rtol=1e-9, atol=1e-12)
    pooled = np.tanh(conv)[:, :4, :4].reshape(30, 2, 2, 2, 2, 4).max(axis=(2, 4))
    np.testing.assert_allclose(clf.feature_maps(X, "maxpool2d_1"), pooled, rtol=1e-9, atol=1e-12)
    dense = pooled.reshape(30, -1) @ params["dense_1.weights"] + params["dense_1.bias"]
    np.testing.assert_allclose(clf.feature_maps(X, "dense_1"), dense, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("layer", "error", "words"),
    [
        ("conv2d_9", ValueError, "no layer 'conv2d_9'; there are conv2d_1, activation_1"),
        (99, ValueError, "no layer 99: there are 7"),
        (-8, ValueError, "no layer -8"),
        (1.5, TypeError, "layer must be"),
        (None, TypeError, "layer must be"),
        (True, TypeError, "layer must be"),
    ],
)
def test_unknown_layers(layer, error, words):
    with pytest.raises(error, match=words):
        fitted(X, Y).feature_maps(X, layer)


def test_parameters_by_name():
    params = fitted(X, Y, batch_norm=True).network_.parameters
    assert params["conv2d_1.kernel"].shape == (3, 3, 2, 4)
    assert params["batchnorm_1.running_variance"].shape == (4,)
    assert params["dense_2.weights"].shape == (8, 3)
    assert not any(array.flags.writeable for array in params.values())


def test_repr():
    assert repr(CNNClassifier()) == "CNNClassifier()"
    assert repr(CNNClassifier((8,), padding="valid")) == "CNNClassifier(filters=(8,), padding='valid')"
    html = fitted(X, Y)._repr_html_()
    assert "CNNClassifier" in html
