"""Estimators, filters, saving and loading with arbitrary arguments."""

import os
import tempfile
import warnings
from pathlib import Path

import numpy as np
from fuzz_pictures import BAD, IMAGES, SEEDS, pictures, spoil
from fuzzing import (
    Unchanged,
    fuzz,
    is_whole,
    lay,
    layouts,
    odd,
    outcome,
    real_fault,
    real_numbers,
    switch_fault,
)
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning

import pyconvx
from pyconvx import CNNClassifier, CNNRegressor, CNNTransformer, DivergenceError, ImageScaler
from pyconvx.estimators import Checkpoint


def quietly(call):
    """Call without the warning that training did not converge."""

    def run():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return call()

    return run


# -------------------------------------------------------------------------------------- classifier

LEGAL = {
    "filters": st.sampled_from([3, (2,), (2, 3), (), [2], np.array([2])]),
    "kernel_size": st.sampled_from([1, 3, (2, 3), [3, 1], 9]),
    "pool_size": st.sampled_from([1, 2, (2, 1)]),
    "padding": st.sampled_from(["same", "valid", 0, 1, (1, 0), ((0, 1), (1, 0))]),
    "hidden_layer_sizes": st.sampled_from([(), (3,), 4, [2, 2]]),
    "activation": st.sampled_from(["relu", "tanh", "gelu", "selu", "softmax"]),
    "dropout": st.sampled_from([0.0, 0.3]),
    "batch_norm": st.booleans(),
    "initializer": st.sampled_from(["auto", "he_normal", "orthogonal"]),
    "dtype": st.sampled_from([None, "float32", "float64"]),
    "label_smoothing": st.sampled_from([0.0, 0.1]),
    "solver": st.sampled_from(["adam", "sgd", "rmsprop", "adamw"]),
    "alpha": st.sampled_from([0.0, 1e-4, 1]),
    "batch_size": st.sampled_from(["auto", 1, 3, 1000]),
    "learning_rate": st.sampled_from(["constant", "cosine", "one_cycle", "invscaling", "adaptive", "step"]),
    "learning_rate_init": st.sampled_from([1e-3, 0.1, 1e10]),
    "shuffle": st.booleans(),
    "tol": st.sampled_from([1e-4, 0.0, 10]),
    "momentum": st.sampled_from([0.0, 0.9]),
    "epsilon": st.sampled_from([1e-8, 1e-3]),
    "n_iter_no_change": st.sampled_from([1, 2, 3, np.inf]),
    "class_weight": st.sampled_from([None, "balanced", {0: 1.0, 1: 2.0}]),
    "n_jobs": st.sampled_from([None, 1, 2, 3, -1]),
    "random_state": st.integers(0, 9),
    "max_iter": st.integers(1, 3),
}
ILLEGAL = {
    "filters": [0, -1, "a", 2.5, True, (0,), (2.0,), None, (2**70,)],
    "kernel_size": [0, (1, 2, 3), 2.0, None, -3],
    "pool_size": [0, "2", (2,)],
    "padding": ["SAME", -1, 1.5, None, (1, 2, 3)],
    "hidden_layer_sizes": [0, (-1,), "a"],
    "activation": ["nope", 3, None, np.sin],
    "dropout": [1.0, -0.1, "a", np.nan, True],
    "batch_norm": [1, None, "yes"],
    "initializer": ["nope", 3],
    "dtype": ["float16", 3, "x"],
    "label_smoothing": [1.0, -1, None],
    "solver": ["newton", None, 3],
    "alpha": [-1, np.inf, "a", np.nan],
    "batch_size": [0, -1, "all", 2.0, None],
    "learning_rate": ["nope", 0.1],
    "learning_rate_init": [0, -1, np.nan, "a"],
    "shuffle": [None, 1],
    "tol": [-1, "a", np.nan],
    "momentum": [1, -0.1],
    "epsilon": [0, -1],
    "n_iter_no_change": [0, 1.5, -np.inf, np.nan],
    "class_weight": ["x", 5, {0: -1, 1: 1}],
    "n_jobs": [0, 1.5, "a", True],
    "random_state": ["a", -1, 2.5],
    "max_iter": [0, -1, 1.5, None, "a", True],
    "image_shape": [5, (0, 3), (1, 2, 3, 4), "ab", (2.0, 2)],
    "data_format": ["NHWC", None],
    "spatial_dims": [0, 3, "2", None, True, 1.0],
    "loss": ["nope", 3],
    "scoring": [3, "nope"],
    "verbose": [-1, "a"],
    "warm_start": [1],
    "early_stopping": [None],
    "validation_fraction": [0, 1, "a"],
    "power_t": [-1, "a"],
    "beta_1": [1, -1],
    "nesterovs_momentum": [2],
    "checkpoint": ["path", 3],
    "resume": [1, True],
    "layers": ["x", 3, [3]],
}


@st.composite
def parameters(draw):
    """Draw parameters of a classifier, at most one of them illegal, and the name of that one or None."""
    chosen = {name: draw(LEGAL[name]) for name in draw(st.sets(st.sampled_from(sorted(LEGAL)), max_size=8))}
    chosen |= {name: draw(LEGAL[name]) for name in ("random_state", "max_iter", "n_jobs") if name not in chosen}
    chosen.setdefault("filters", (3,))
    chosen.setdefault("hidden_layer_sizes", (4,))
    if draw(st.integers(0, 3)):
        return chosen, None
    name = draw(st.sampled_from(sorted(ILLEGAL)))
    return chosen | {name: draw(st.sampled_from(ILLEGAL[name]))}, name


def needs_more_rows(values, error):
    """Return whether batch norm over single numbers refused batches of one row, as it has to."""
    single = values.get("batch_norm") is True and values.get("batch_size") == 1
    return single and "compares the rows of a batch" in str(error)


@fuzz(
    "CNNClassifier",
    weight=2,
    case=parameters(),
    shape=IMAGES,
    seed=SEEDS,
    how=st.sampled_from(BAD),
    layout=layouts,
    dtype=st.sampled_from(["f4", "f8", "u1", "i4", "f2"]),
    n_jobs=st.integers(1, 4),
)
def test_classifier(case, shape, seed, how, layout, dtype, n_jobs):
    values, illegal = case
    X, y = pictures(shape, seed, dtype)
    wrong, faults = spoil(X, how)
    faults += [(illegal,), ("unknown", "nope")] if illegal else []
    clf = CNNClassifier(**values)  # any values: fit checks them
    assert clf.get_params()["max_iter"] is values["max_iter"]
    given_X = lay(layout, wrong)
    with Unchanged(wrong, y), np.errstate(over="ignore", invalid="ignore"):
        try:
            fitted = outcome(quietly(lambda: clf.fit(given_X, y)), faults)
        except AssertionError as error:
            if needs_more_rows(values, error):
                return
            if (
                isinstance(error.__cause__, DivergenceError)
                and not faults
                and values.get("learning_rate_init") == 1e10
            ):
                return
            raise
    if fitted is None:
        assert not hasattr(clf, "network_")
        return
    other = quietly(lambda: CNNClassifier(**(values | {"n_jobs": n_jobs})).fit(X, y))()
    assert other.network_.buffer.tobytes() == clf.network_.buffer.tobytes()
    try:
        probabilities = clf.predict_proba(given_X)
    except DivergenceError:
        assert values.get("learning_rate_init") == 1e10
        return
    np.testing.assert_array_equal(probabilities, other.predict_proba(X))
    np.testing.assert_allclose(probabilities.sum(1), 1)
    np.testing.assert_array_equal(clf.predict(X), clf.classes_[clf.predict_log_proba(X).argmax(1)])


# what is legal for signals and written otherwise than for images
OF_SIGNALS = {
    "kernel_size": st.sampled_from([1, 3, np.int64(4), 9]),
    "pool_size": st.sampled_from([1, 2]),
    "padding": st.sampled_from(["same", "valid", 0, 1, (1, 0), [0, 2]]),
}


@fuzz(
    "CNNClassifier",
    weight=1,
    case=parameters(),
    windows=st.fixed_dictionaries({}, optional=OF_SIGNALS),
    shape=st.tuples(st.integers(4, 12), st.integers(1, 9), st.sampled_from([1, 1, 3])),
    seed=SEEDS,
    how=st.sampled_from([how for how in BAD if how != "5-D"]),
    layout=layouts,
    dtype=st.sampled_from(["f4", "f8", "u1"]),
)
def test_classifier_of_signals(case, windows, shape, seed, how, layout, dtype):
    values, illegal = case
    values = {name: value for name, value in values.items() if name not in OF_SIGNALS} | windows
    values = {"spatial_dims": 1, "learning_rate_init": 1e-3} | values
    values["learning_rate_init"] = 1e-3 if values["learning_rate_init"] == 1e10 else values["learning_rate_init"]
    X, y = pictures(shape, seed, dtype)
    wrong, faults = spoil(X, how)
    faults += [(illegal,), ("unknown", "nope")] if illegal in values and illegal not in windows else []
    clf, given_X = CNNClassifier(**values), lay(layout, wrong)
    with Unchanged(wrong, y):
        try:
            fitted = outcome(quietly(lambda: clf.fit(given_X, y)), faults)
        except AssertionError as error:
            if needs_more_rows(values, error):
                return
            raise
    if fitted is None:
        assert not hasattr(clf, "network_")
        return
    assert clf.input_shape_ == shape[1:]
    first = CNNClassifier(**(values | {"data_format": "channels_first"}))
    quietly(lambda: first.fit(X.transpose(0, 2, 1), y))()
    flat = CNNClassifier(**(values | {"image_shape": shape[1:]}))
    quietly(lambda: flat.fit(X.reshape(len(X), -1), y))()
    assert first.network_.buffer.tobytes() == flat.network_.buffer.tobytes() == clf.network_.buffer.tobytes()
    np.testing.assert_array_equal(clf.predict_proba(given_X), first.predict_proba(X.transpose(0, 2, 1)))


OF_REGRESSOR = set(CNNRegressor().get_params())


@fuzz(
    "CNNRegressor",
    weight=1,
    case=parameters(),
    shape=IMAGES,
    seed=SEEDS,
    how=st.sampled_from(BAD),
    layout=layouts,
    outputs=st.sampled_from([None, 1, 2]),
    loss=st.sampled_from(["squared_error", "huber", pyconvx.losses.Huber(0.5)]),
    n_jobs=st.integers(1, 4),
)
def test_regressor(case, shape, seed, how, layout, outputs, loss, n_jobs):
    values, illegal = case
    values = {"loss": loss} | {name: value for name, value in values.items() if name in OF_REGRESSOR}
    X, _ = pictures(shape, seed)
    y = np.random.default_rng(seed).standard_normal((len(X),) if outputs is None else (len(X), outputs))
    wrong, faults = spoil(X, how)
    faults += [(illegal,), ("unknown", "nope")] if illegal in values else []
    given_X = lay(layout, wrong)
    may_diverge = values.get("learning_rate_init") == 1e10 and not faults
    with Unchanged(wrong, y), np.errstate(over="ignore", invalid="ignore"):
        reg = CNNRegressor(**values)
        try:
            fitted = outcome(quietly(lambda: reg.fit(given_X, y)), faults)
        except AssertionError as error:
            if isinstance(error.__cause__, DivergenceError) and may_diverge:
                return
            raise
    if fitted is None:
        assert not hasattr(reg, "network_")
        return
    other = quietly(lambda: CNNRegressor(**(values | {"n_jobs": n_jobs})).fit(X, y))()
    assert other.network_.buffer.tobytes() == reg.network_.buffer.tobytes()
    try:
        predictions = reg.predict(given_X)
    except DivergenceError:
        assert may_diverge
        return
    assert predictions.shape == y.shape
    np.testing.assert_array_equal(predictions, other.predict(X))


@fuzz(
    "CNNClassifier",
    weight=1,
    seed=SEEDS,
    how=st.sampled_from(BAD),
    data=st.data(),
    method=st.sampled_from(
        [
            "predict",
            "predict_proba",
            "predict_log_proba",
            "decision_function",
            "partial_fit",
            "feature_maps",
            "compile_predictor",
            "summary",
        ]
    ),
)
def test_fitted_classifier(seed, how, data, method):
    X, y = pictures((8, 4, 5, 2), seed)
    clf = quietly(
        lambda: CNNClassifier((3,), hidden_layer_sizes=(), max_iter=1, random_state=0, n_jobs=1).fit(X, y)
    )()
    before = clf.network_.buffer.tobytes()
    wrong, faults = spoil(X, how)
    if how == "1-D":
        faults = [("1D array",)]
    if method == "feature_maps":
        layer = data.draw(st.one_of(st.sampled_from(["conv2d_1", 0, -1, np.int64(1)]), odd()))
        names = clf.network_.names
        legal = layer in names if isinstance(layer, str) else type(layer) is not np.ndarray and is_whole(layer)
        if not legal or (not isinstance(layer, str) and not -len(names) <= layer < len(names)):
            faults = [("layer", repr(layer)), ("layer", str(layer))]
        outcome(lambda: clf.feature_maps(wrong, layer), faults)
    elif method == "summary":
        size = data.draw(st.one_of(st.sampled_from([(4, 5), (4, 5, 2), [9, 9]]), odd()))
        listed = isinstance(size, (tuple, list)) or (isinstance(size, np.ndarray) and size.ndim == 1)
        fine = listed and len(size) in (2, 3) and all(is_whole(n) and n > 0 for n in size)
        outcome(lambda: CNNClassifier().summary(size), [] if fine else [(repr(size),), ("before fit",)])
    elif method == "partial_fit":
        labels = data.draw(st.sampled_from([y, y, y + 1, y[:-1], y + 0.5, None, np.full(8, np.nan)]))
        ok = labels is y
        if not ok:
            faults += [("class",), ("inconsistent",), ("label",), ("NaN",), ("y to be passed",)]
        if how == "no rows" and ok:
            faults += [("0 sample(s)",)]
        if outcome(lambda: clf.partial_fit(wrong, labels), faults) is not None:
            return
    elif method == "compile_predictor":
        predictor = clf.compile_predictor()
        # it promises not to check the values
        faults = [] if how in ("none", "NaN", "infinite", "no rows", "masked") else [("expected",), ("fitted",)]
        if how not in ("masked", "NaN", "infinite"):
            outcome(lambda: predictor(wrong), faults)
    else:
        outcome(lambda: getattr(clf, method)(wrong), faults)
    assert clf.network_.buffer.tobytes() == before


# ------------------------------------------------------------------------------------ image scaler


@fuzz(
    "ImageScaler",
    weight=2,
    shape=IMAGES,
    seed=SEEDS,
    how=st.sampled_from(BAD),
    layout=layouts,
    dtype=st.sampled_from(["f4", "f8", "u1", "i4", "f2", "g"]),
    with_mean=odd(st.booleans()),
    with_std=odd(st.booleans()),
)
def test_image_scaler(shape, seed, how, layout, dtype, with_mean, with_std):
    X, _ = pictures(shape, seed, dtype)
    wrong, faults = spoil(X, how)
    faults += switch_fault("with_mean", with_mean) + switch_fault("with_std", with_std)
    scaler = ImageScaler(with_mean=with_mean, with_std=with_std)
    with Unchanged(wrong):
        scaled = outcome(lambda: scaler.fit(lay(layout, wrong)).transform(lay(layout, wrong)), faults)
    if scaled is None:
        return
    mean, std = np.float64(X).mean((0, 1, 2)), np.float64(X).std((0, 1, 2))
    std[std <= 1e-12 * np.abs(mean)] = 1
    expected = (X - mean * bool(with_mean)) / (std if with_std else 1)
    slack = 1e-4 if scaled.dtype == np.float32 else 1e-9
    np.testing.assert_allclose(scaled, expected, rtol=slack, atol=slack * max(1, np.abs(expected).max()))
    back = scaler.inverse_transform(scaled)
    np.testing.assert_allclose(back, np.float64(X), rtol=1e-3, atol=1e-3 * max(1, np.abs(np.float64(X)).max()))


# ------------------------------------------------------------------------------------- transformer

PLACES = ["conv2d_1", "dense_1", "nope", 0, -1, -2, 99, 1.5, None]


@fuzz(
    "CNNTransformer",
    weight=0.5,
    seed=SEEDS,
    how=st.sampled_from(BAD),
    layer=st.sampled_from(PLACES),
    pooling=st.sampled_from([None, "avg", "max", "mean", 3]),
    kind=st.sampled_from([CNNClassifier, CNNRegressor, ImageScaler]),
)
def test_transformer(seed, how, layer, pooling, kind):
    X, y = pictures((6, 4, 4, 1), seed)
    wrong, faults = spoil(X, how)
    if kind is ImageScaler:
        inner, faults = kind(), [("'estimator' parameter",)]
    else:
        inner = kind((3,), max_iter=1, tol=None, random_state=0)
    faults = faults + ([("'pooling' parameter",)] if pooling in ("mean", 3) else [])
    faults = faults + ([("layer", repr(layer))] if layer in ("nope", 99, 1.5, None) else [])
    transformer = CNNTransformer(inner, layer=layer, pooling=pooling)
    features = outcome(quietly(lambda: transformer.fit(X, y).transform(wrong)), faults)
    if features is not None:
        assert features.shape == (len(wrong), len(transformer.get_feature_names_out()))


# ----------------------------------------------------------------------------------- save and load


@fuzz(
    "load",
    "Checkpoint",
    weight=0.2,
    case=parameters(),
    seed=SEEDS,
    every=st.one_of(st.just("epoch"), real_numbers),
    path=odd(st.sampled_from(["here", "nowhere/there"])),
)
def test_checkpoint_and_load(case, seed, every, path):
    values, illegal = case
    X, y = pictures((6, 4, 4, 1), seed)
    with tempfile.TemporaryDirectory() as folder:
        place = os.path.join(folder, path) if isinstance(path, str) else path
        faults = [(illegal,), ("unknown", "nope")] if illegal else []
        legal = every == "epoch" if isinstance(every, str) else not real_fault("every", every, least=0)
        if not isinstance(path, str) or not legal:
            faults += [("checkpoint",)]
        clf = CNNClassifier(**(values | {"checkpoint": Checkpoint(place, every), "learning_rate_init": 1e-3}))
        if illegal in ("checkpoint", "learning_rate_init"):
            return
        try:
            fitted = outcome(quietly(lambda: clf.fit(X, y)), faults)
        except OSError as error:
            if path == "here" or str(Path(place)) not in str(error):
                raise
            return
        if fitted is None:
            return
        other = pyconvx.load(Path(place))
        assert other.network_.buffer.tobytes() == clf.network_.buffer.tobytes()
        np.testing.assert_array_equal(other.predict_proba(X), clf.predict_proba(X))
