"""The checks of X by themselves: exact results, and each limit from both sides."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.utils.validation import _check_n_features
from small import fitted, quick

import pyconvx
from pyconvx import CNNRegressor, ImageScaler
from pyconvx.estimators import samples


def test_orders_of_axes():
    assert samples.channels_last(quick(data_format="channels_first"), (4, 5)) == (4, 5, 1)
    assert samples.channels_last(quick(data_format="channels_last"), (4, 5)) == (4, 5, 1)
    assert samples.channels_last(quick(data_format="channels_first"), (3, 4, 5)) == (4, 5, 3)
    assert samples.channels_last(quick(data_format="channels_last"), (3, 4, 5)) == (3, 4, 5)
    assert samples.ordered(quick(data_format="channels_first"), (4, 5, 3)) == (3, 4, 5)
    assert samples.ordered(quick(data_format="channels_last"), (4, 5, 3)) == (4, 5, 3)
    first, last = (quick(spatial_dims=1, data_format=f"channels_{end}") for end in ("first", "last"))
    assert [samples.channels_last(clf, (7,)) for clf in (first, last)] == [(7, 1), (7, 1)]
    assert [samples.channels_last(clf, (3, 7)) for clf in (first, last)] == [(7, 3), (3, 7)]
    assert [samples.ordered(clf, (7, 3)) for clf in (first, last)] == [(3, 7), (7, 3)]
    assert (samples.noun(first), samples.noun(quick())) == ("signals", "images")


def test_shapes_that_fit_sees():
    def first(shape, **parameters):
        return samples.first_shape(quick(**parameters), np.empty((2, *shape)))

    assert first((12,)) == (1, 12, 1)
    assert first((12,), image_shape=(3, 4)) == (3, 4, 1)
    assert first((12,), image_shape=[2, 3, 2]) == (2, 3, 2)
    assert first((12,), image_shape=(2, 3, 2), data_format="channels_first") == (3, 2, 2)
    assert type(first((12,), image_shape=(np.int64(3), 4))[0]) is int
    assert first((3, 4), data_format="channels_first") == (3, 4, 1)
    assert first((2, 3, 4), data_format="channels_first") == (3, 4, 2)
    assert first((2, 3, 4), data_format="channels_first", image_shape=(2, 3, 4)) == (3, 4, 2)
    assert first((3, 4, 1), image_shape=(3, 4)) == (3, 4, 1)
    signals = {"spatial_dims": 1}
    assert first((12,), **signals) == (12, 1)
    assert first((12,), image_shape=(4, 3), **signals) == (4, 3)
    assert first((12,), image_shape=(4, 3), data_format="channels_first", **signals) == (3, 4)
    assert first((4, 3), **signals) == (4, 3)
    assert first((4, 3), data_format="channels_first", **signals) == (3, 4)
    with pytest.raises(ValueError, match=r"^X has images of shape \(2, 3, 4\), but image_shape=\(2, 3\)"):
        first((2, 3, 4), image_shape=(2, 3))
    with pytest.raises(ValueError, match=r"^image_shape=\(3, 5\) has 15 pixels, X has 12 features"):
        first((12,), image_shape=(3, 5))


def test_shapes_that_come_later():
    clf = quick(data_format="channels_first")
    clf.input_shape_ = (3, 4, 2)
    samples.check_same_shape(clf, np.empty((5, 2, 3, 4)))
    samples.check_same_shape(clf, np.empty((5, 99)))  # its count is validate_data's matter
    words = r"^X has images of shape \(3, 4, 2\), but CNNClassifier was fitted on images of shape \(2, 3, 4\)"
    with pytest.raises(ValueError, match=words):
        samples.check_same_shape(clf, np.empty((5, 3, 4, 2)))
    clf.input_shape_ = (3, 4, 1)
    samples.check_same_shape(clf, np.empty((5, 3, 4)))
    with pytest.raises(ValueError, match=r"of shape \(4, 3\), but"):
        samples.check_same_shape(clf, np.empty((5, 4, 3)))


@pytest.mark.parametrize("kind", [np.uint8, np.float64, bool, np.int16, np.float16])
@pytest.mark.parametrize("axes", [2, 3, 4])
def test_arrays_keep_their_type_and_memory(kind, axes):
    data = np.ones((3, 4, 5, 1), kind)[{2: np.s_[:, :, 0, 0], 3: np.s_[..., 0], 4: ...}[axes]]
    clf = quick()
    got = samples.check_samples(clf, data, reset=True)
    assert (got.dtype, got.shape) == (data.dtype, data.shape)
    assert np.shares_memory(got, data)
    assert clf.n_features_in_ == data.shape[1]
    assert samples.check_samples(clf, data.tolist(), reset=False).shape == data.shape


@pytest.mark.parametrize("axes", [2, 3, 4])
def test_numbers_in_arrays_of_objects(axes):
    got = samples.check_samples(quick(), np.ones((3, 4, 5, 1)[:axes], object), reset=True)
    assert got.dtype == np.float64


def test_names_of_columns_come_and_go():
    clf = quick()
    frame = pd.DataFrame(np.ones((3, 4)), columns=list("abcd"))
    assert samples.check_samples(clf, frame, reset=True).shape == (3, 4)
    assert clf.feature_names_in_.tolist() == list("abcd")
    samples.check_samples(clf, frame, reset=False)
    with pytest.raises(ValueError, match="feature names"):
        samples.check_samples(clf, frame.rename(columns={"a": "z"}), reset=False)
    samples.check_samples(clf, np.ones((3, 2, 2)), reset=False)
    assert hasattr(clf, "feature_names_in_")
    samples.check_samples(clf, np.ones((3, 2, 2)), reset=True)
    assert not hasattr(clf, "feature_names_in_")
    assert clf.n_features_in_ == 2


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("shape", [(6, 7), (6, 7, 1), (6, 7, 3), (3, 7, 6)])
def test_n_features_in_is_what_scikit_learn_compares(shape, data_format, tmp_path):
    """Tools compare it with X.shape[1], whatever X is; shapes are checked against input_shape_."""
    X, y = np.random.default_rng(0).random((12, *shape)), np.arange(12) % 2
    for model in (quick(data_format=data_format), CNNRegressor(data_format=data_format, max_iter=1)):
        fitted(X, y, clf=model)
        assert model.n_features_in_ == X.shape[1]
        _check_n_features(model, X, reset=False)
        size = int(np.prod(shape))
        flat = X.reshape(12, size)
        np.testing.assert_array_equal(model.predict(flat), model.predict(X))
        with pytest.raises(ValueError, match=f"X has {size + 1} features, but .* is expecting {size} features"):
            model.predict(np.ones((2, size + 1)))
        with pytest.raises(ValueError, match="1D array"):
            model.predict(np.ones(size + 1))
        with pytest.raises(ValueError, match=r"images of shape \(.*, but"):
            model.predict(np.ones((2, *shape[:-1], shape[-1] + 1)))
        model.save(tmp_path / "model")
        assert pyconvx.load(tmp_path / "model").n_features_in_ == X.shape[1]
    assert ImageScaler(data_format=data_format).fit(X).n_features_in_ == X.shape[1]


@pytest.mark.parametrize("reset", [True, False])
def test_arrays_that_are_refused(reset):
    clf = quick()
    clf.n_features_in_ = 4
    refused = {
        "X is a masked array": np.ma.masked_array(np.ones((3, 4))),
        "dense data is required": sp.csr_matrix(np.ones((3, 4))),
        "Found array with dim 5. CNNClassifier expected <= 4": np.ones((1, 1, 1, 2, 2)),
        r"Found array with 0 feature\(s\) \(shape=\(3, 2, 0\)\)": np.ones((3, 2, 0)),
        r"Found array with 0 feature\(s\) \(shape=\(3, 0, 2\)\)": np.ones((3, 0, 2)),
        r"Found array with 0 sample\(s\) .* is required by CNNClassifier": np.ones((0, 2, 2)),
        "Expected 2D array, got 1D array": np.ones(4),
        "Input X contains NaN": np.full((3, 2, 2), np.nan),
        "Complex data not supported": np.ones((3, 2, 2), complex),
        r"X must hold real numbers, got datetime64\[s\]": np.zeros((3, 2, 2), "M8[s]"),
    }
    for words, data in refused.items():
        with pytest.raises((TypeError, ValueError), match=words):
            samples.check_samples(clf, data, reset=reset)


def test_bytes_and_other_numbers():
    clf = quick()
    for scales, good, bad, words in (
        (True, np.uint8, np.int8, "^CNNClassifier was fitted on uint8 images, .* got Z of int8: pass uint8"),
        (False, np.int8, np.uint8, r"^CNNClassifier was fitted on Z that was not uint8, .* pass Z\.astype"),
    ):
        clf.scales_uint8_ = scales
        samples.check_same_kind(clf, np.ones(1, good), "Z")
        with pytest.raises(ValueError, match=words):
            samples.check_same_kind(clf, np.ones(1, bad), "Z")
        with pytest.raises(ValueError, match=words.replace("Z", "X")):
            samples.check_same_kind(clf, np.ones(1, bad))


def test_precisions():
    for kind, expected in (
        ("f8", "f8"),
        (">f8", "f8"),
        ("f4", "f4"),
        ("f2", "f4"),
        ("u1", "f4"),
        ("i8", "f4"),
        ("?", "f4"),
    ):
        assert samples.computing_dtype(None, np.ones(1, kind)) == np.dtype(expected)
        assert samples.computing_dtype("float64", np.ones(1, kind)) == np.float64
        assert samples.computing_dtype(np.float32, np.ones(1, kind)) == np.float32


def test_what_a_precision_holds(monkeypatch):
    single, largest = np.dtype(np.float32), float(np.finfo(np.float32).max)
    monkeypatch.setattr(samples, "_CHUNK", 4)  # numbers at a time: two rows here
    for place in range(5):
        for value in (np.nextafter(largest, np.inf), -np.nextafter(largest, np.inf)):
            data = np.zeros((5, 2))
            data[place, 1] = largest
            samples.check_cast(data, single)
            data[place, 1] = value
            with pytest.raises(
                ValueError, match=r"^Input X contains infinity or a value too large for dtype\('float32'\)"
            ):
                samples.check_cast(data, single)
            samples.check_cast(data, np.dtype(np.float64))
    samples.check_cast(np.zeros((0, 2)), single)
    samples.check_cast(np.full((2, 2), np.inf, np.float32), single)  # no narrower: was checked before
    samples.check_cast(np.full((2, 2), 2**63, np.uint64), single)
    huge = np.dtype(np.longdouble)
    if huge.itemsize > 8:
        with pytest.raises(ValueError, match="too large"):
            samples.check_cast(np.full((1, 1), np.longdouble("1e400")), np.dtype(np.float64))
