"""Warnings point at the line that called pyconvx, through scikit-learn too."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from small import images, quick

from pyconvx import ImageScaler
from pyconvx.exceptions import InputScaleWarning, TrainingWarning

X, Y = images()


@pytest.mark.parametrize(
    "call",
    [
        lambda model: model.fit(X, Y),
        lambda model: make_pipeline(ImageScaler(), model).fit(X, Y),
        lambda model: cross_val_score(model, X, Y, cv=2),
        lambda model: GridSearchCV(model, {"alpha": [0.1]}, cv=2).fit(X, Y),
    ],
)
def test_warnings_point_here(call):
    with pytest.warns(ConvergenceWarning) as caught:
        call(quick(max_iter=1, tol=1e-4))
    assert {warning.filename for warning in caught} == {__file__}


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_all_kinds_of_warnings_point_here(method):
    tiny, model = np.full(len(X), 1e-9), quick(max_iter=1, tol=None)
    arguments = {"classes": [0, 1, 2]} if method == "partial_fit" else {}
    with pytest.warns((TrainingWarning, InputScaleWarning)) as caught:
        getattr(model, method)(X * 1000, Y, sample_weight=tiny, **arguments)
    assert [warning.category for warning in caught] == [InputScaleWarning, TrainingWarning]
    assert {warning.filename for warning in caught} == {__file__}
