"""ImageReader: a step from paths to images in pipelines, searches and cross-validation."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks

from pyconvx import CNNClassifier
from pyconvx.datasets import ImageReader, load_image_folder


@pytest.fixture
def pictures(tmp_path):
    """Dark and bright images of several sizes."""
    rng, paths = np.random.default_rng(0), []
    for i in range(24):
        pixels = rng.integers(0, 60, (6 + i % 3, 8, 3), np.uint8) + np.uint8(180 * (i % 2))
        paths.append(str(tmp_path / f"{i}.png"))
        Image.fromarray(pixels).save(paths[-1])
    return paths, np.array(["dark", "bright"])[np.arange(24) % 2]


@pytest.mark.parametrize(
    "check",
    [
        "parameters_default_constructible",
        "no_attributes_set_in_init",
        "get_params_invariance",
        "set_params",
        "estimator_cloneable",
        "estimator_repr",
        "valid_tag_types",
        "estimator_tags_renamed",
        "mixin_order",
    ],
)
def test_scikit_learns_checks(check):
    # those that need no X: it tests no estimator whose X is text as a whole
    getattr(estimator_checks, f"check_{check}")("ImageReader", ImageReader())


@pytest.mark.parametrize(
    "shape",
    [
        list,
        tuple,
        np.array,
        lambda paths: np.array(paths, dtype=object)[:, None],
        lambda paths: [Path(path) for path in paths],
        pd.Series,
        lambda paths: pd.DataFrame({"file": paths}),
    ],
)
def test_kinds_of_x(pictures, shape):
    paths, _ = pictures
    images = ImageReader((5, 7), resize="pad").fit_transform(shape(paths))
    expected = load_image_folder(paths, size=(5, 7), resize="pad").images
    np.testing.assert_array_equal(images, expected)
    assert images.dtype == np.uint8


def test_attributes(pictures):
    paths, _ = pictures
    reader = ImageReader(4, color_mode="grayscale").fit(paths)
    assert (reader.n_features_in_, reader.output_shape_) == (1, (4, 4, 1))
    assert not hasattr(reader, "feature_names_in_")
    names = reader.get_feature_names_out()
    assert (len(names), names[0], names[-1]) == (16, "pixel_0_0_0", "pixel_3_3_0")
    reader.fit(pd.DataFrame({"file": paths}))
    assert reader.feature_names_in_.tolist() == ["file"]
    with pytest.raises(ValueError, match="the column was 'file', and is 'other'"):
        reader.transform(pd.DataFrame({"other": paths}))
    assert clone(reader).get_params() == reader.get_params()
    assert reader.set_output(transform="pandas").transform(paths).shape == (24, 4, 4, 1)


def test_relative_paths(pictures, tmp_path):
    paths, _ = pictures
    names = [Path(path).name for path in paths]
    near = ImageReader(4, folder=tmp_path).fit_transform(names)
    np.testing.assert_array_equal(near, ImageReader(4).fit_transform(paths))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_searches_choose_sizes(pictures):
    paths, labels = pictures
    network = CNNClassifier(filters=(4,), max_iter=15, learning_rate_init=0.01, random_state=0)
    pipe = make_pipeline(ImageReader(), network)
    search = GridSearchCV(pipe, {"imagereader__size": [(6, 6), 8]}, cv=2, error_score="raise").fit(paths, labels)
    assert search.best_score_ > 0.9
    assert search.score(paths, labels) == 1.0
    assert cross_val_score(pipe, pd.DataFrame({"file": paths}), labels, cv=2).mean() > 0.9


def test_what_is_refused(pictures, tmp_path):
    paths, _ = pictures
    for X, kind, words in (
        ([[1.0], [2.0]], TypeError, "X must be paths, got 1.0 in row 0"),
        ([["a", "b"]], ValueError, r"of shape \(n,\) or \(n, 1\), got shape \(1, 2\)"),
        ("a.png", ValueError, r"got shape \(\)"),
        ([], ValueError, r"Found array with 0 sample"),
    ):
        with pytest.raises(kind, match=words):
            ImageReader().fit(X)
    with pytest.raises(TypeError, match=r"size must be .*None"):
        ImageReader(None).fit(paths)
    with pytest.raises(ValueError, match="resize must be one of"):
        ImageReader(resize="x").fit(paths)
    with pytest.raises(NotFittedError):
        ImageReader().transform(paths)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.png"):
        ImageReader().fit(["nowhere.png"]).transform(["nowhere.png"])
    with pytest.raises(ValueError, match=r"ImageReader"):
        CNNClassifier().fit(paths, np.arange(24) % 2)
