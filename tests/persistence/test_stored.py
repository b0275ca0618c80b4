"""Stored model files still load. tests/stored has one for each version, which never changes.

0.1.0 has not been released: until the second version, its file only shows that the format has not changed since.
"""

import numpy as np
import pytest
from places import TESTS
from small import weights_of

import pyconvx


def pictures_of_waves(n):
    """Return images from a formula, which no version of a random generator can change."""
    i, h, w = np.ogrid[:n, :6, :5]
    return np.sin(0.7 * i + 0.5 * h * w + 0.1 * i * h)[..., None].astype(np.float32)


PROBABILITIES = {
    "0.1.0": [
        [0.7325458135752448, 0.2036009075532764, 0.06385327887147858],
        [0.4589137180396995, 0.17035166189216797, 0.3707346200681325],
        [0.3797346087240703, 0.07079002177648337, 0.5494753694994463],
    ],
}


@pytest.mark.parametrize("version", PROBABILITIES)
def test_stored_models_load_and_train_on(version, tmp_path):
    X = pictures_of_waves(24)
    clf = pyconvx.load(TESTS / "stored" / f"{version}.pyconvx")
    np.testing.assert_allclose(clf.predict_proba(X[:3]), PROBABILITIES[version], rtol=1e-5)
    assert clf.classes_.tolist() == ["down", "flat", "up"]
    assert clf.get_params()["solver"] == "adamw"
    assert (clf.n_iter_, len(clf.loss_curve_), len(clf.validation_scores_)) == (3, 3, 3)
    before = weights_of(clf)
    clf.set_params(early_stopping=False, max_iter=4).partial_fit(X, clf.classes_[np.arange(24) % 3])
    assert weights_of(clf) != before
    clf.save(tmp_path / "new")
    assert weights_of(pyconvx.load(tmp_path / "new")) == weights_of(clf)


def test_every_stored_file_is_tried():
    assert sorted(path.stem for path in (TESTS / "stored").iterdir()) == sorted(PROBABILITIES)
