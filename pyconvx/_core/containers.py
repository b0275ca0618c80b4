"""Data frames from transformers: for rows of numbers, while maps of more axes stay arrays."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import TransformerMixin
from sklearn.utils._set_output import _wrap_data_with_container


class MapTransformer(TransformerMixin):
    """A transformer whose results may have more than two axes, which no data frame holds.

    With ``set_output``, or scikit-learn's ``transform_output``, results of two axes become data frames and all
    others come back as arrays.
    """

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if "transform" in vars(cls):
            cls.transform = _frames_of_rows(cls.transform)

    def fit_transform(self, X: Any, y: Any = None, **parameters: Any) -> Any:
        """Fit and transform.

        Parameters
        ----------
        X, y
            As for `fit`.
        **parameters
            Further arguments of `fit`.

        Returns
        -------
        array or data frame
        """
        return self.fit(X, y, **parameters).transform(X)


# scikit-learn has wrapped it, but `transform` makes the frames
MapTransformer.fit_transform = MapTransformer.fit_transform.__wrapped__  # type: ignore[attr-defined, method-assign]


def _frames_of_rows(wrapped: Callable[..., Any]) -> Callable[..., Any]:
    """Return `transform` as scikit-learn has wrapped it, but with arrays of more than two axes left alone."""
    plain = wrapped.__wrapped__  # type: ignore[attr-defined]

    @functools.wraps(plain)
    def transform(self: Any, X: Any, *arguments: Any, **keywords: Any) -> Any:
        result = plain(self, X, *arguments, **keywords)
        return result if np.ndim(result) > 2 else _wrap_data_with_container("transform", result, X, self)

    return transform
