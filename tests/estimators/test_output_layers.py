"""Layers that end in an output layer, as other libraries want them."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from small import fitted, images, quick

from pyconvx import CNNClassifier, CNNRegressor, activations
from pyconvx.exceptions import TrainingWarning
from pyconvx.layers import Activation, Conv2D, Dense, Dropout, Flatten

X, Y = images()
BODY = [Conv2D(4), Activation("relu"), Flatten()]
SOFTMAX = activations.softmax


@pytest.mark.parametrize(
    "end",
    [
        [Dense(3), Activation("softmax")],
        [Dense(3), Activation(SOFTMAX)],
        [Dense(3), Activation("log_softmax")],
        [Dense(3), Dropout(0.1), Activation("softmax")],
        [Activation("softmax")],
        [Dense(1), Activation("sigmoid")],
        [Dense(1), Activation("logistic")],
    ],
)
def test_an_output_layer_among_the_layers_is_refused(end):
    words = r"^layers end with .*Activation\(.* looks like an output layer, but the estimator adds"
    for model in (quick(layers=[*BODY, *end]), CNNRegressor(layers=[*BODY, *end])):
        with pytest.raises(ValueError, match=words):
            model.fit(X, Y)
        assert not hasattr(model, "network_")
    with pytest.raises(ValueError, match=words):
        quick(layers=[*BODY, *end]).summary((6, 6, 1))


@pytest.mark.parametrize(
    "end",
    [
        [Dense(8), Activation("sigmoid")],
        [Dense(4)],
        [Dense(3), Activation("relu")],
        [Dense(8), Activation("softmax"), Dense(4)],
        [Dense(1), Activation("tanh")],
    ],
)
def test_layers_that_may_be_meant_are_taken(end):
    assert np.isfinite(fitted(X, Y, layers=[*BODY, *end]).predict_proba(X)).all()


@pytest.mark.parametrize(("Model", "units"), [(CNNClassifier, 3), (CNNRegressor, 1)])
def test_a_dense_layer_as_wide_as_the_output_is_taken_with_a_warning(Model, units):
    with pytest.warns(
        TrainingWarning, match=rf"layers end with Dense\(units={units}, .* Leave this one out"
    ) as caught:
        model = Model(layers=[*BODY, Dense(units)], max_iter=1, tol=None).fit(X, Y)
    assert [Path(warning.filename).name for warning in caught] == [Path(__file__).name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict(X)
        model.partial_fit(X, Y)
