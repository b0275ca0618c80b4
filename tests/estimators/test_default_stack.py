"""The layers, batches and epochs that an estimator chooses by its input."""

import numpy as np
import pytest
from small import fitted, images, quick

from pyconvx import CNNClassifier, CNNRegressor
from pyconvx.estimators import budget
from pyconvx.layers import BatchNorm, Conv1D, Conv2D, Dense, Dropout, GlobalAvgPool1D, GlobalAvgPool2D
from pyconvx.layers.sequence import output_shapes

X, Y = images(30)


def stack(shape, **parameters):
    clf = CNNClassifier(spatial_dims=len(shape) - 1, **parameters)
    return clf._layers(shape, 10)


def convolutions(layers):
    return [
        (layer.filters, *np.ravel(layer.kernel_size).tolist()[:1], layer.stride)
        for layer in layers
        if isinstance(layer, (Conv1D, Conv2D))
    ]


@pytest.mark.parametrize(
    ("shape", "filters", "stride"),
    [
        ((4, 4, 1), [32, 64], 1),
        ((8, 8, 1), [32, 64, 128], 1),
        ((28, 28, 1), [32, 64, 128, 128], 1),
        ((32, 32, 3), [32, 64, 128, 128], 1),
        ((28, 300, 1), [32, 64, 128, 128], 1),
        ((63, 63, 3), [32, 64, 128, 128, 128], 1),
        ((64, 64, 3), [32, 64, 128, 128], 2),
        ((96, 96, 3), [32, 64, 128, 128, 128], 2),
        ((224, 224, 3), [32, 64, 128, 128, 128, 128], 2),
    ],
)
def test_images(shape, filters, stride):
    layers = stack(shape)
    found = convolutions(layers)
    assert [row[0] for row in found] == filters
    assert [row[2] for row in found] == [stride] + [1] * (len(filters) - 1)
    assert sum(isinstance(layer, BatchNorm) for layer in layers) == len(filters)
    assert layers[-2:] == (GlobalAvgPool2D(), Dense(10, initializer="xavier_uniform"))
    assert sum(type(layer).__name__ == "MaxPool2D" for layer in layers) == len(filters) - 1


@pytest.mark.parametrize(
    ("length", "expected", "pools"),
    [
        (12, [(64, 8), (128, 5), (128, 3)], 0),
        (128, [(64, 8), (128, 5), (128, 3)], 0),
        (150, [(64, 8), (128, 5), (128, 3)], 1),
        (427, [(64, 8), (128, 5), (128, 3)], 2),
        (1500, [(64, 8), (128, 5), (128, 3), (128, 3), (128, 3)], 4),
    ],
)
def test_signals(length, expected, pools):
    layers = stack((length, 2))
    assert [row[:2] for row in convolutions(layers)] == expected
    assert sum(type(layer).__name__ == "MaxPool1D" for layer in layers) == pools
    assert isinstance(layers[-2], GlobalAvgPool1D)


@pytest.mark.parametrize("shape", [(1, 30, 1), (1, 1, 1), (3, 50, 3), (11, 2), (1, 1)])
def test_rows_of_numbers(shape):
    layers = stack(shape)
    assert [row[0] for row in convolutions(layers)] == [32, 64]
    assert [layer.units for layer in layers if isinstance(layer, Dense)] == [128, 10]
    assert not any(isinstance(layer, BatchNorm) for layer in layers)


def test_every_size_has_a_stack():
    for H in range(1, 40):
        for W in (1, 2, 3, 4, 7, 8, 29, 64, 65):
            assert output_shapes(stack((H, W, 1)), (H, W, 1))[-1] == (10,)
    for length in range(1, 300):
        assert output_shapes(stack((length, 1)), (length, 1))[-1] == (10,)


def test_given_filters_have_the_stack_of_old():
    layers = stack((28, 28, 1), filters=(32, 64), padding="valid")
    assert CNNClassifier((32, 64), padding="valid").summary((28, 28)).n_parameters == 225_034
    assert [type(layer).__name__ for layer in layers] == [
        "Conv2D", "Activation", "MaxPool2D", "Conv2D", "Activation", "MaxPool2D", "Flatten", "Dense", "Activation",
        "Dense",
    ]  # fmt: skip


def test_what_is_given_takes_the_place_of_what_follows_the_input():
    layers = stack(
        (28, 28, 1), kernel_size=5, pool_size=1, batch_norm=False, hidden_layer_sizes=(30,), dropout=0.2
    )
    assert {row[1] for row in convolutions(layers)} == {5}
    kinds = [type(layer).__name__ for layer in layers]
    assert "BatchNorm" not in kinds
    assert "MaxPool2D" not in kinds
    assert kinds[-5:] == ["GlobalAvgPool2D", "Dense", "Activation", "Dropout", "Dense"]
    assert any(isinstance(layer, BatchNorm) for layer in stack((28, 28, 1), filters=(4,), batch_norm=True))
    assert not any(isinstance(layer, BatchNorm) for layer in stack((28, 28, 1), solver="lbfgs"))


@pytest.mark.parametrize("parameters", [{}, {"filters": (4,), "hidden_layer_sizes": ()}])
def test_dropout_is_never_without_effect(parameters):
    assert stack((28, 28, 1), dropout=0.5, **parameters)[-2] == Dropout(0.5)


@pytest.mark.parametrize("padding", ["valid", 0, 2])
def test_any_padding_will_do(padding):
    for shape in [(8, 8, 1), (28, 28, 1), (96, 96, 3), (4, 50, 1), (150, 1), (1500, 2)]:
        assert output_shapes(stack(shape, padding=padding), shape)[-1] == (10,)


def test_the_regressor_has_the_same():
    shape = (28, 28, 1)
    assert CNNRegressor()._layers(shape, 10) == stack(shape)


@pytest.mark.parametrize(
    ("rows", "size", "epochs"),
    [(1, 1, 200), (15, 15, 200), (50, 16, 200), (1000, 16, 32), (1652, 32, 39), (2700, 64, 47), (60_000, 128, 20)],
)
def test_batches_and_epochs(rows, size, epochs):
    assert budget.batch_size("auto", rows, of_numbers=False) == size
    assert budget.batch_size("auto", rows, of_numbers=True) == min(rows, 128)
    assert budget.batch_size(100, rows, of_numbers=False) == min(rows, 100)
    assert budget.epochs("auto", rows, size) == epochs
    assert budget.epochs(7, rows, size) == 7


def test_patience():
    assert budget.patience("auto", "auto", 200) == 50
    assert budget.patience("auto", "auto", 20) == 10
    assert budget.patience("auto", 200, 200) == 10
    assert budget.patience(np.inf, "auto", 200) == np.inf


def test_the_default_reaches_what_the_table_says():
    clf = fitted(X, Y, clf=quick(filters="auto", hidden_layer_sizes="auto", max_iter="auto"))
    assert clf.n_iter_ <= 200  # and no ConvergenceWarning
    assert clf.score(X, Y) == 1.0


def test_no_schedule_spreads_over_an_unknown_number_of_calls():
    clf = quick(max_iter="auto", learning_rate="cosine")
    with pytest.raises(ValueError, match="give their number as max_iter"):
        clf.partial_fit(X, Y, classes=[0, 1, 2])
    assert fitted(X, Y, clf=clf, tol=None).n_iter_ == 200
