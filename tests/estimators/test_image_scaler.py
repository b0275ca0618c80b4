"""ImageScaler: channels with mean 0 and deviation 1, for every layout of X."""

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from pyconvx import CNNClassifier, ImageScaler

IMAGES = np.random.default_rng(0).normal([[[[1.0, -20.0, 300.0]]]], [[[[2.0, 0.1, 50.0]]]], (30, 5, 7, 3))


def test_channels_are_standardised():
    scaled = ImageScaler().fit_transform(IMAGES)
    np.testing.assert_allclose(scaled.mean(axis=(0, 1, 2)), 0, atol=1e-12)
    np.testing.assert_allclose(scaled.std(axis=(0, 1, 2)), 1, rtol=1e-12)


def test_equals_standard_scaler_on_pixels():
    pixels = StandardScaler().fit_transform(IMAGES.reshape(-1, 3)).reshape(IMAGES.shape)
    np.testing.assert_allclose(ImageScaler().fit_transform(IMAGES), pixels, rtol=1e-10, atol=1e-12)


def test_layouts_agree():
    expected = ImageScaler().fit_transform(IMAGES)
    first = ImageScaler(data_format="channels_first").fit_transform(IMAGES.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(first.transpose(0, 2, 3, 1), expected)
    flat = ImageScaler(image_shape=(5, 7, 3)).fit_transform(IMAGES.reshape(30, -1))
    np.testing.assert_array_equal(flat.reshape(IMAGES.shape), expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float16])
def test_result_is_float32(dtype):
    images = np.random.default_rng(0).integers(0, 255, (10, 4, 4, 2)).astype(dtype)
    before = images.copy()
    scaled = ImageScaler().fit_transform(images)
    assert scaled.dtype == np.float32
    assert abs(scaled.mean()) < 1e-5
    np.testing.assert_array_equal(images, before)


def test_inverse():
    scaler = ImageScaler().fit(IMAGES)
    np.testing.assert_allclose(scaler.inverse_transform(scaler.transform(IMAGES)), IMAGES, rtol=1e-10, atol=1e-10)


def test_switches():
    scaler = ImageScaler(with_mean=False, with_std=False).fit(IMAGES)
    np.testing.assert_array_equal(scaler.transform(IMAGES), IMAGES)


def test_constant_channel_is_not_divided_by_zero():
    images = np.full((4, 3, 3, 1), 7.0)
    np.testing.assert_array_equal(ImageScaler().fit_transform(images), 0)


def test_other_images_are_refused():
    scaler = ImageScaler().fit(IMAGES)
    with pytest.raises(ValueError, match=r"\(7, 5, 3\).*\(5, 7, 3\)"):
        scaler.transform(IMAGES.transpose(0, 2, 1, 3))
    with pytest.raises(ValueError, match="The 'with_mean' parameter of ImageScaler"):
        ImageScaler(with_mean=2).fit(IMAGES)
    with pytest.raises(ValueError, match="NaN"):
        scaler.transform(np.full((1, 5, 7, 3), np.nan))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_in_a_pipeline():
    from sklearn.pipeline import make_pipeline

    y = np.arange(30) % 2
    images = IMAGES + 100.0 * y[:, None, None, None]
    pipeline = make_pipeline(ImageScaler(), CNNClassifier((4,), max_iter=20, random_state=0)).fit(images, y)
    assert pipeline.score(images, y) == 1.0
