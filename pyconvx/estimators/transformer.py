"""CNNTransformer: what a layer of a network makes of X, as features for any other estimator."""

from __future__ import annotations

import itertools
import math
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    MetaEstimatorMixin,
    TransformerMixin,
    clone,
)
from sklearn.frozen import FrozenEstimator
from sklearn.utils import get_tags
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_is_fitted

from pyconvx._core.types import FloatArray, Shape
from pyconvx.estimators.base import BaseCNN
from pyconvx.estimators.classifier import CNNClassifier
from pyconvx.estimators.regressor import CNNRegressor

_POOLINGS: dict[str, Any] = {"avg": np.mean, "max": np.max}


class CNNTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, MetaEstimatorMixin, BaseEstimator):
    """Features for other estimators: the output of a layer of a network.

    The network is trained on X and y first, unless it comes fitted in a `sklearn.frozen.FrozenEstimator`. Its
    features then serve other models: for few rows, other labels, or beside other columns.

    Parameters
    ----------
    estimator : CNNClassifier, CNNRegressor or FrozenEstimator of one, default=None
        The network; cloned and fitted by `fit`. None stands for a `CNNClassifier` if y is classes, and a
        `CNNRegressor` if it is numbers.
    layer : str or int, default=-2
        The layer whose output is wanted, by its name in ``network_.names`` or its place; -2 is what the output
        layer gets.
    pooling : {"avg", "max"} or None, default=None
        Whether each channel of a map becomes its mean or maximum; None keeps every cell as a feature.
    random_state : int, RandomState instance or None, default=None
        What the network gets as its own `random_state`, unless this is None.

    Attributes
    ----------
    estimator_ : estimator
        The fitted network.
    layer_ : str
        Name of the layer.
    n_features_in_ : int
    feature_names_in_ : array
        Column names, if X had them.

    See Also
    --------
    CNNClassifier.feature_maps : The same maps with their axes.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.frozen import FrozenEstimator
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from sklearn.pipeline import make_pipeline
    >>> from pyconvx import CNNClassifier, CNNTransformer
    >>> X, y = load_digits(return_X_y=True)
    >>> low = y < 5  # learn features from these digits, and recognise the others by them
    >>> network = CNNClassifier(image_shape=(8, 8), max_iter=5, tol=None, random_state=0).fit(X[low] / 16, y[low])
    >>> model = make_pipeline(CNNTransformer(FrozenEstimator(network)), KNeighborsClassifier(1))
    >>> model.fit(X[~low][::8] / 16, y[~low][::8]).score(X[~low] / 16, y[~low]) > 0.9
    True
    """

    def __init__(
        self,
        estimator: Any = None,
        *,
        layer: str | int = -2,
        pooling: str | None = None,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.layer = layer
        self.pooling = pooling
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None, **fit_params: Any) -> Self:
        """Train the network.

        Parameters
        ----------
        X : array-like
            As for `CNNClassifier.fit`.
        y : array-like of shape (n,)
            What the network learns to predict; not needed if it is frozen.
        **fit_params
            For the network's own `fit`: ``sample_weight``, ``X_val``, ``y_val``.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If a parameter is not legal, there is no such layer, or the network refuses X or y.
        NotFittedError
            If a frozen network is not fitted.
        """
        self._check_parameters()
        if isinstance(self.estimator, FrozenEstimator):
            fitted = self.estimator
            check_is_fitted(fitted.estimator)
        else:
            fitted = self._default(y) if self.estimator is None else clone(self.estimator)
            if self.random_state is not None:
                fitted.set_params(random_state=self.random_state)
            fitted.fit(X, y, **fit_params)
        network = _bare(fitted).network_
        place = _bare(fitted)._place(self.layer)
        self.estimator_, self.layer_, self._shape = fitted, network.names[place], network.shapes[place]
        return self

    def transform(self, X: Any) -> FloatArray:
        """Compute the features.

        Parameters
        ----------
        X : array-like
            Samples of the shape that the network was fitted to.

        Returns
        -------
        array of shape (n, features)
            In the network's precision.
        """
        check_is_fitted(self)
        maps: FloatArray = self.estimator_.feature_maps(X, self.layer_)
        if self.pooling is not None and maps.ndim > 2:
            return np.asarray(_POOLINGS[self.pooling](maps, axis=tuple(range(1, maps.ndim - 1))), maps.dtype)
        return maps.reshape(len(maps), -1)

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[np.object_]:
        """Return the names of the features: the layer, the place in its map, the channel.

        Parameters
        ----------
        input_features : array-like of str, optional
            Compared with those of `fit`, as scikit-learn does.

        Returns
        -------
        array of str
        """
        super().get_feature_names_out(input_features)
        places = itertools.product(*(range(size) for size in self._features))
        return np.array(["_".join((self.layer_, *map(str, place))) for place in places], object)

    @property
    def n_features_in_(self) -> int:
        """Number of features of X, as scikit-learn counts them."""
        check_is_fitted(self)
        count: int = self.estimator_.n_features_in_
        return count

    @property
    def feature_names_in_(self) -> Any:
        """Column names of X; there are none if X had none."""
        check_is_fitted(self)
        return self.estimator_.feature_names_in_

    @property
    def _features(self) -> Shape:
        """Axes of the features of one sample."""
        axes: Shape = self._shape if self.pooling is None else self._shape[-1:]
        return axes

    @property
    def _n_features_out(self) -> int:
        return math.prod(self._features)

    def _default(self, y: Any) -> BaseCNN:
        """Return the estimator for this kind of y."""
        numbers = y is not None and str(type_of_target(y)).startswith("continuous")
        return CNNRegressor() if numbers else CNNClassifier()

    def _check_parameters(self) -> None:
        """Refuse illegal parameters."""
        if self.estimator is not None and not isinstance(_bare(self.estimator), BaseCNN):
            raise TypeError(
                "The 'estimator' parameter of CNNTransformer must be a CNNClassifier, a CNNRegressor, one of them "
                f"in a FrozenEstimator, or None. Got {self.estimator!r} instead."
            )
        if self.pooling is not None and self.pooling not in _POOLINGS:
            raise ValueError(
                "The 'pooling' parameter of CNNTransformer must be a str among {'avg', 'max'} or None. Got "
                f"{self.pooling!r} instead."
            )

    def __sklearn_tags__(self) -> Any:
        """Say what the network says of X, and that y is needed unless it is frozen."""
        tags = super().__sklearn_tags__()
        inner = CNNClassifier() if self.estimator is None else _bare(self.estimator)
        tags.input_tags = get_tags(inner).input_tags
        tags.target_tags.required = not isinstance(self.estimator, FrozenEstimator)
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _bare(estimator: Any) -> Any:
    """Return the estimator that is frozen, or the one that is not."""
    return estimator.estimator if isinstance(estimator, FrozenEstimator) else estimator
