"""Batches of one row, where a layer compares rows: the last one joins the one before, others are refused."""

import re

import numpy as np
import pytest
from nets import net, pictures, trainer
from small import fitted, images, quick, weights_of

from pyconvx import CNNRegressor
from pyconvx.layers import BatchNorm, Conv1D, Conv2D, Dense, Flatten, GlobalAvgPool2D, Residual
from pyconvx.layers.sequence import fewest_rows

X, Y = images(31)
DENSE = [Flatten(), Dense(8), BatchNorm()]
SMALL_MAPS = [Conv2D(4, 6), BatchNorm()]
INSIDE = [Conv2D(4, 6), Residual((Conv2D(4, 1), BatchNorm()))]
MAPS = [Conv2D(4, 3), BatchNorm()]


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        (DENSE, (2, "batchnorm_1")),
        (SMALL_MAPS, (2, "batchnorm_1")),
        (INSIDE, (2, "residual_1.batchnorm_1")),
        ([Conv2D(4), GlobalAvgPool2D(), BatchNorm()], (2, "batchnorm_1")),
        (MAPS, (1, "")),
        ([Flatten(), Dense(3)], (1, "")),
    ],
)
def test_layers_say_how_many_rows_they_need(layers, expected):
    found, where = fewest_rows(layers, (6, 6, 1))
    assert found == expected[0]
    assert where == expected[1] or found == 1


@pytest.mark.parametrize("layers", [DENSE, SMALL_MAPS, INSIDE])
def test_a_last_row_joins_the_batch_before(layers):
    options = {"layers": layers, "batch_size": 10, "shuffle": False, "averaging": None}
    clf = fitted(X, Y, max_iter=1, **options)  # 10, 10, 11
    assert clf._state.step == 3
    steps = quick(**options)
    steps.partial_fit(X[:10], Y[:10], classes=[0, 1, 2]).partial_fit(X[10:20], Y[10:20])
    steps.set_params(batch_size=11).partial_fit(X[20:], Y[20:])
    assert weights_of(clf) == weights_of(steps)
    assert fitted(X[:11], Y[:11], layers=layers, batch_size=5, max_iter=1)._state.step == 2


def test_two_rows_are_a_batch_and_other_networks_keep_one():
    assert fitted(X[:22], Y[:22], layers=DENSE, batch_size=10, max_iter=1)._state.step == 3
    assert fitted(X, Y, layers=MAPS, batch_size=10, max_iter=1)._state.step == 4
    assert fitted(X, Y, batch_size=1, max_iter=1)._state.step == 31


@pytest.mark.parametrize("layers", [DENSE, SMALL_MAPS, INSIDE])
def test_single_rows_are_refused(layers):
    name = re.escape(fewest_rows(layers, (6, 6, 1))[1])
    words = f"^{name} compares the rows of a batch and needs at least 2, but batch_size is 1: use larger batches"
    for model in (quick(layers=layers, batch_size=1), CNNRegressor(layers=layers, batch_size=1)):
        with pytest.raises(ValueError, match=words):
            model.fit(X, Y)
        assert not hasattr(model, "network_")
    with pytest.raises(ValueError, match="needs at least 2, but there is 1 row to train on: use"):
        quick(layers=layers).partial_fit(X[:1], Y[:1], classes=[0, 1, 2])
    with pytest.raises(ValueError, match="needs at least 2, but there is 1 row to train on: use"):
        quick(layers=layers).fit(X, Y, sample_weight=np.arange(31) == 3)


def test_signals_and_training_without_an_estimator():
    layers = [Conv1D(3, 6), BatchNorm()]
    with pytest.raises(ValueError, match=r"^batchnorm_1 compares the rows"):
        quick(layers=layers, spatial_dims=1, batch_size=1).fit(X[:, :, 0], Y)
    x, y = pictures(5)
    with pytest.raises(ValueError, match=r"^batchnorm_1 compares the rows"):
        trainer(net((Flatten(), BatchNorm(), Dense(3))), x, y, batch_size=1)
