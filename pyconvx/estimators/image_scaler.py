"""ImageScaler: StandardScaler for images, which scikit-learn's own refuses for their four axes."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import OneToOneFeatureMixin
from sklearn.utils.validation import check_is_fitted

from pyconvx._core.containers import MapTransformer
from pyconvx._core.types import Array, FloatArray
from pyconvx.estimators import constraints as rule
from pyconvx.estimators import samples
from pyconvx.estimators.declaration import estimator, parameter, rules_of
from pyconvx.estimators.parameters import SampleLayout

_CHUNK = 1 << 22  # numbers that are cast to double at a time


@estimator
class ImageScaler(OneToOneFeatureMixin, MapTransformer, SampleLayout):
    """Give each channel mean 0 and standard deviation 1.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    mean_, scale_ : float64 arrays of shape (C,)
        Of the training images, over all pixels; the scale of a constant channel is 1.
    n_features_in_ : int
    input_shape_ : (H, W, C), or (length, channels) for signals

    Notes
    -----
    float64 images stay float64, everything else becomes float32; uint8 images are not divided by 255
    first, since the standard deviation does that. All pixels of a channel are scaled by one factor, so they keep
    their relation to one another; StandardScaler on flattened images scales each pixel by its own.

    Examples
    --------
    >>> import numpy as np
    >>> from pyconvx import ImageScaler
    >>> images = np.random.default_rng(0).normal(5.0, 2.0, (20, 8, 8, 3)).astype("float32")
    >>> scaled = ImageScaler().fit_transform(images)
    >>> scaled.shape, bool(abs(scaled.mean()) < 1e-5), bool(abs(scaled.std() - 1) < 1e-5)
    ((20, 8, 8, 3), True, True)
    """

    with_mean: bool = parameter(
        default=True, rule=rule.boolean, kind="bool", text="Whether to subtract the mean of each channel."
    )
    with_std: bool = parameter(
        default=True, rule=rule.boolean, kind="bool", text="Whether to divide by the standard deviation."
    )

    def fit(self, X: Any, y: Any = None) -> ImageScaler:
        """Measure the channels.

        Parameters
        ----------
        X : array-like of shape (n, H, W, C), (n, H, W) or (n, features)
            With ``spatial_dims=1`` (n, length, channels) or (n, length).
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If X or a parameter is not legal.
        """
        rule.check_parameters(self, self.__dict__, rules_of(type(self)))
        images = samples.check_samples(self, X, reset=True)
        self.input_shape_ = samples.first_shape(self, images)
        C = self.input_shape_[-1]
        count = images.size // C
        total, squares = np.zeros(C), np.zeros(C)
        for part in self._parts(images):
            total += self._by_channel(images[part]).sum(axis=(0, 2), dtype=np.float64)
        mean = total / count
        for part in self._parts(images):  # a second pass: the sum of squares alone loses digits
            deviation = self._by_channel(images[part]).astype(np.float64) - mean[:, None]
            squares += np.square(deviation).sum(axis=(0, 2))
        std = np.sqrt(squares / count)
        self.mean_ = mean if self.with_mean else np.zeros(C)
        self.scale_ = np.where(std > 1e-12 * np.abs(mean), std, 1.0) if self.with_std else np.ones(C)
        return self

    def transform(self, X: Any) -> FloatArray:
        """Scale images like those of `fit`; a new array of the shape of X."""
        check_is_fitted(self)
        return self._mapped(X, lambda part: (part - self.mean_[:, None]) / self.scale_[:, None])

    def inverse_transform(self, X: Any) -> FloatArray:
        """Undo `transform`."""
        check_is_fitted(self)
        return self._mapped(X, lambda part: part * self.scale_[:, None] + self.mean_[:, None])

    def _mapped(self, X: Any, function: Any) -> FloatArray:
        images = samples.check_samples(self, X, reset=False)
        samples.check_same_shape(self, images)
        out: FloatArray = np.empty(images.shape, samples.computing_dtype(None, images))
        for part in self._parts(images):
            self._by_channel(out[part])[...] = function(self._by_channel(images[part]).astype(np.float64))
        return out

    def _parts(self, images: Array) -> list[slice]:
        """Return rows in pieces of bounded size."""
        rows = max(1, _CHUNK // max(1, images[0].size))
        return [slice(start, start + rows) for start in range(0, len(images), rows)]

    def _by_channel(self, images: Array) -> Array:
        """Return images as (n, C, pixels), without a copy if memory allows it."""
        C = self.input_shape_[-1]
        if self.data_format == "channels_first":
            return images.reshape(len(images), C, -1)
        return np.moveaxis(images.reshape(len(images), -1, C), 2, 1)

    def __sklearn_tags__(self) -> Any:
        """Say that X is 2-D, or samples of three or four axes."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float32", "float64"]
        return tags
