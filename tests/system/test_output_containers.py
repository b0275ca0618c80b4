"""Transformers under set_output: rows become data frames, maps of more axes stay arrays."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn import config_context
from sklearn.pipeline import make_pipeline
from small import fitted, images, quick

from pyconvx import ImageScaler
from pyconvx.filters import FilterBank

X, Y = images(20)
SIGNALS = X[:, :, 0]
FLAT = X.reshape(20, -1)
FRAMES = {"pandas": pd.DataFrame, "polars": pl.DataFrame}


@pytest.mark.parametrize("kind", FRAMES)
@pytest.mark.parametrize("data", [X, X[..., 0], SIGNALS], ids=["maps", "grey", "signals"])
def test_maps_stay_arrays(kind, data):
    scaler = ImageScaler(spatial_dims=1 if data is SIGNALS else 2)
    expected = scaler.fit_transform(data)
    with config_context(transform_output=kind):
        np.testing.assert_array_equal(scaler.transform(data), expected)
        np.testing.assert_array_equal(scaler.fit_transform(data), expected)
    scaler.set_output(transform=kind)
    np.testing.assert_array_equal(scaler.fit(data).transform(data), expected)


@pytest.mark.parametrize("kind", FRAMES)
def test_rows_become_frames(kind):
    for transformer in (ImageScaler(image_shape=(6, 6)), FilterBank(image_shape=(6, 6))):
        expected = transformer.fit_transform(FLAT)
        assert type(expected) is np.ndarray
        with config_context(transform_output=kind):
            for found in (transformer.transform(FLAT), transformer.fit_transform(FLAT)):
                assert type(found) is FRAMES[kind]
                np.testing.assert_array_equal(found.to_numpy(), expected)
                assert list(found.columns) == transformer.get_feature_names_out().tolist()
        assert type(transformer.set_output(transform=kind).transform(FLAT)) is FRAMES[kind]


@pytest.mark.parametrize("kind", FRAMES)
def test_filters_of_maps_become_frames_of_rows(kind):
    found = FilterBank().set_output(transform=kind).fit_transform(X)
    assert type(found) is FRAMES[kind]
    assert found.shape == (20, 6 * 6 * 4)


@pytest.mark.parametrize("kind", FRAMES)
def test_in_a_pipeline(kind):
    plain = fitted(X, Y, clf=make_pipeline(ImageScaler(), quick())).predict_proba(X)
    with config_context(transform_output=kind):
        pipe = fitted(X, Y, clf=make_pipeline(ImageScaler(), quick()))
        np.testing.assert_array_equal(pipe.predict_proba(X), plain)
    pipe = make_pipeline(ImageScaler(), quick()).set_output(transform=kind)
    np.testing.assert_array_equal(fitted(X, Y, clf=pipe).predict_proba(X), plain)
