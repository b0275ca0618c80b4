"""Arrays of other libraries as X, y and weights, with and without scikit-learn's dispatch."""

import os
import subprocess
import sys

import array_api_strict as xp
import numpy as np
import pytest
from sklearn import config_context
from sklearn.pipeline import make_pipeline
from small import fitted, images, quick, weights_of

from pyconvx import CNNClassifier, CNNRegressor, ImageScaler
from pyconvx.filters import FilterBank

X, Y = images(20)
WEIGHTS = np.linspace(0.5, 2.0, 20)


class Tensor:
    """What a framework's array is to NumPy: the DLPack protocol, and a history that has to be left behind."""

    def __init__(self, array, recorded=True):
        self._array, self._recorded = np.asarray(array), recorded

    def detach(self):
        return Tensor(self._array, recorded=False)

    def __dlpack__(self, **keywords):
        if self._recorded:
            raise BufferError("detach it first")
        return self._array.__dlpack__(**keywords)

    def __dlpack_device__(self):
        return self._array.__dlpack_device__()

    def __len__(self):
        return len(self._array)

    @property
    def shape(self):
        return self._array.shape


WAYS = {"strict": xp.asarray, "tensor": Tensor}


DISPATCH = os.environ.get("SCIPY_ARRAY_API") == "1"


@pytest.fixture(autouse=True)
def dispatch():
    with config_context(array_api_dispatch=DISPATCH):
        yield


@pytest.mark.skipif(DISPATCH, reason="this is the run with dispatch")
def test_all_again_with_dispatch():
    """SciPy has to know before it is imported."""
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__],
        env={**os.environ, "SCIPY_ARRAY_API": "1"}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout
    assert "passed" in run.stdout


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", [CNNClassifier, CNNRegressor])
@pytest.mark.parametrize("data", [X, X[..., 0], X.reshape(20, -1)], ids=["maps", "grey", "rows"])
def test_estimators_take_other_arrays(way, kind, data):
    make = WAYS[way]
    settings = {"filters": (2,), "hidden_layer_sizes": (), "max_iter": 2, "random_state": 0, "image_shape": (6, 6)}
    settings["tol"] = None
    expected = kind(**settings).fit(data, Y, WEIGHTS, X_val=data, y_val=Y, sample_weight_val=WEIGHTS)
    validation = {"X_val": make(data), "y_val": make(Y), "sample_weight_val": make(WEIGHTS)}
    model = kind(**settings).fit(make(data), make(Y), make(WEIGHTS), **validation)
    assert weights_of(model) == weights_of(expected)
    assert model.validation_scores_ == expected.validation_scores_
    found = model.predict(make(data))
    assert type(found) is np.ndarray
    np.testing.assert_array_equal(found, expected.predict(data))
    assert model.score(make(data), make(Y), make(WEIGHTS)) == expected.score(data, Y, WEIGHTS)
    keywords = {"classes": make(np.unique(Y))} if kind is CNNClassifier else {}
    assert weights_of(model.partial_fit(make(data), make(Y), **keywords)) == weights_of(
        expected.partial_fit(data, Y)
    )
    predictor = model.compile_predictor()
    assert predictor(make(data)).tobytes() == predictor(data).tobytes()


@pytest.mark.parametrize("way", WAYS)
def test_transformers_take_other_arrays(way):
    make = WAYS[way]
    for transformer in (ImageScaler(), FilterBank()):
        expected = transformer.fit(X).transform(X)
        np.testing.assert_array_equal(transformer.fit(make(X)).transform(make(X)), expected)
        assert type(transformer.transform(make(X))) is np.ndarray


def test_in_a_pipeline():
    with config_context(array_api_dispatch=False):
        expected = fitted(X, Y, clf=make_pipeline(ImageScaler(), quick())).predict_proba(X)
    pipe = fitted(xp.asarray(X), xp.asarray(Y), clf=make_pipeline(ImageScaler(), quick()))
    np.testing.assert_array_equal(pipe.predict_proba(xp.asarray(X)), expected)
