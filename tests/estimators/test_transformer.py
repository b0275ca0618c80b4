"""CNNTransformer: features of a layer, in scikit-learn's tools."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from small import fitted, images, quick

from pyconvx import CNNClassifier, CNNRegressor, CNNTransformer

X, Y = images(36)
NAMES = ["conv2d_1", "activation_1", "maxpool2d_1", "flatten_1", "dense_1", "activation_2", "dense_2"]


@pytest.fixture(scope="module")
def network():
    return fitted(X, Y, max_iter=3, tol=None)


@parametrize_with_checks(
    [CNNTransformer(CNNClassifier(max_iter=3, tol=None)), CNNTransformer(CNNRegressor(max_iter=2, tol=None))]
)
def test_check(estimator, check):
    check(estimator)


def test_it_is_the_map_of_the_layer(network):
    for place, name in enumerate(NAMES):
        transformer = CNNTransformer(FrozenEstimator(network), layer=name).fit(X)
        maps = network.feature_maps(X, name)
        np.testing.assert_array_equal(transformer.transform(X), maps.reshape(len(X), -1))
        same = CNNTransformer(FrozenEstimator(network), layer=place).fit(X)
        assert (same.layer_, transformer.layer_) == (name, name)
        np.testing.assert_array_equal(same.get_feature_names_out(), transformer.get_feature_names_out())
        assert len(set(transformer.get_feature_names_out())) == maps[0].size


@pytest.mark.parametrize(("pooling", "function"), [("avg", np.mean), ("max", np.max)])
def test_pooling(network, pooling, function):
    transformer = CNNTransformer(FrozenEstimator(network), layer="conv2d_1", pooling=pooling).fit(X)
    features = transformer.transform(X.astype(np.float64))
    np.testing.assert_allclose(features, function(network.feature_maps(X, 0), axis=(1, 2)), rtol=1e-12)
    assert list(transformer.get_feature_names_out()) == [f"conv2d_1_{i}" for i in range(4)]
    flat = CNNTransformer(FrozenEstimator(network), layer="dense_1", pooling=pooling).fit(X)
    np.testing.assert_array_equal(flat.transform(X), network.feature_maps(X, "dense_1"))


def test_names_tell_place_and_channel(network):
    transformer = CNNTransformer(FrozenEstimator(network), layer="maxpool2d_1").fit(X)
    names = transformer.get_feature_names_out()
    assert names[0] == "maxpool2d_1_0_0_0"
    assert names[-1] == "maxpool2d_1_2_2_3"


def test_a_frame_of_features(network):
    frame = (
        CNNTransformer(FrozenEstimator(network), layer="dense_1")
        .set_output(transform="pandas")
        .fit(X)
        .transform(X)
    )
    assert list(frame.columns) == [f"dense_1_{i}" for i in range(8)]


def test_a_pipeline_before_any_classifier_and_a_search_over_layers():
    steps = make_pipeline(CNNTransformer(quick(max_iter=5, tol=None)), StandardScaler(), LogisticRegression())
    search = GridSearchCV(
        steps, {"cnntransformer__layer": ["maxpool2d_1", -2], "cnntransformer__estimator__max_iter": [8]}, cv=2
    )
    assert search.fit(X, Y).best_score_ > 0.8
    again = pickle.loads(pickle.dumps(search))
    np.testing.assert_array_equal(again.predict_proba(X), search.predict_proba(X))


def test_the_kind_of_y_chooses_the_network():
    small = {"estimator": None}
    assert isinstance(CNNTransformer(**small).fit(X[:6], Y[:6]).estimator_, CNNClassifier)
    assert isinstance(CNNTransformer().fit(X[:6], Y[:6] + 0.5).estimator_, CNNRegressor)


def test_what_the_network_takes_is_passed_on():
    inner = quick(max_iter=3, tol=None)
    weights = np.arange(len(X), dtype=float)
    mine = CNNTransformer(inner).fit(X, Y, sample_weight=weights, X_val=X, y_val=Y)
    theirs = clone(inner).fit(X, Y, weights, X_val=X, y_val=Y)
    np.testing.assert_array_equal(mine.transform(X), theirs.feature_maps(X, -2))
    assert mine.estimator_.validation_scores_ == theirs.validation_scores_
    assert not hasattr(inner, "network_")


@pytest.mark.parametrize(
    ("parameters", "error", "words"),
    [
        (
            {"estimator": LogisticRegression()},
            TypeError,
            "'estimator' parameter of CNNTransformer must be a CNNClass",
        ),
        ({"pooling": "mean"}, ValueError, "'pooling' parameter of CNNTransformer must be a str among"),
        ({"layer": "conv2d_7"}, ValueError, "no layer 'conv2d_7'; there are conv2d_1"),
        ({"layer": 70}, ValueError, "no layer 70: there are"),
        ({"layer": 1.5}, TypeError, "layer must be a name or a place, got 1.5"),
        ({"estimator": FrozenEstimator(CNNClassifier())}, NotFittedError, "not fitted yet"),
    ],
)
def test_bad_parameters(parameters, error, words):
    with pytest.raises(error, match=words):
        CNNTransformer(**({"estimator": quick(tol=None)} | parameters)).fit(X, Y)


def test_random_state_is_the_networks():
    whole = CNNTransformer(quick(tol=None, random_state=None), random_state=3).fit(X, Y)
    same = CNNTransformer(quick(tol=None, random_state=3)).fit(X, Y)
    np.testing.assert_array_equal(whole.transform(X), same.transform(X))


def test_before_fit():
    transformer = CNNTransformer(quick())
    for call in (lambda: transformer.transform(X), transformer.get_feature_names_out):
        with pytest.raises(NotFittedError):
            call()
    assert not hasattr(transformer, "n_features_in_")
