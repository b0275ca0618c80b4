"""Layers that end in an output layer, as other libraries want them."""

import numpy as np
import pytest
from small import fitted, images, quick

from pyconvx import CNNRegressor, activations
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
        [Dense(3)],
        [Dense(8), Activation("softmax"), Dense(4)],
        [Dense(1), Activation("tanh")],
    ],
)
def test_layers_that_may_be_meant_are_taken(end):
    assert np.isfinite(fitted(X, Y, layers=[*BODY, *end]).predict_proba(X)).all()
