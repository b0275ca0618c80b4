"""FilterBank: classic kernels as a scikit-learn transformer; features for any classifier, without training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils import Tags
from sklearn.utils.validation import check_array, check_is_fitted

from pyconvx._core.arrays import as_stack
from pyconvx._core.containers import MapTransformer
from pyconvx._core.numbers import as_bool, as_int, as_tuples
from pyconvx._core.rows import checked_rows
from pyconvx._core.threads import resolve_threads
from pyconvx._core.types import FloatArray, Padding
from pyconvx.filters.kernels import get_kernel
from pyconvx.ops import conv2d
from pyconvx.ops.geometry import window

# Everything but float64 is computed in float32.
_DTYPES = [np.float32, np.float64]


class FilterBank(MapTransformer, BaseEstimator):
    """Filter images with several classic kernels; the output of each kernel at each pixel is a feature.

    Parameters
    ----------
    names : sequence of str
        Names from `pyconvx.filters.KERNELS`.
    image_shape : (int, int) or (int, int, int), optional
        (H, W) or (H, W, C) of images that come as flat rows. Without it a flat row is a signal: an image one
        pixel high. An X of three or four axes has the shape of its images.
    data_format : {"channels_last", "channels_first"}
        Where X, flat rows and `image_shape` have the axis of channels, and where the results have it. Grey
        images (n, H, W) have none.
    flatten : bool
        Whether results are flat rows; if not they are maps (n, OH, OW, C * kernels), or with channels first
        (n, C * kernels, OH, OW).
    padding : int, (height, width), ((top, bottom), (left, right)), "same" or "valid"
        Zeros around the images, as for `apply_filter`.
    n_jobs : int, optional
        Number of threads. None means OpenMP's limit, -1 all processors. It does not change the result.

    Attributes
    ----------
    input_shape_ : (int, int, int)
        (H, W, C) of the images.
    output_shape_ : (int, int, int)
        (OH, OW, C * kernels) before flattening; the outputs for one channel are side by side.
    n_features_in_ : int
        Length of the second axis of X.
    feature_names_in_ : array of str
        Names of the columns, if X was a data frame that has them.

    Notes
    -----
    uint8 images are not scaled: put a scaler after the bank, or divide by 255 before it.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from pyconvx.filters import FilterBank
    >>> X, y = load_digits(return_X_y=True)
    >>> bank = FilterBank(names=("sobel_x", "sobel_y"), image_shape=(8, 8)).fit(X)
    >>> bank.transform(X).shape, bank.output_shape_
    ((1797, 128), (8, 8, 2))
    >>> bank.get_feature_names_out()[:2].tolist()
    ['sobel_x_0_0', 'sobel_y_0_0']
    """

    def __init__(
        self,
        names: Sequence[str] = ("sobel_x", "sobel_y", "laplacian", "gaussian_blur"),
        *,
        image_shape: tuple[int, ...] | None = None,
        data_format: str = "channels_last",
        flatten: bool = True,
        padding: Padding = "same",
        n_jobs: int | None = None,
    ) -> None:
        self.names = names
        self.image_shape = image_shape
        self.data_format = data_format
        self.flatten = flatten
        self.padding = padding
        self.n_jobs = n_jobs

    def fit(self, X: npt.ArrayLike, y: object = None) -> Self:
        """Remember the shape of the images; there is nothing else to learn.

        Parameters
        ----------
        X : array of shape (n, H, W, C), (n, H, W) or (n, features)
            Images in the order of `data_format`, grey images, or flat rows (see `image_shape`).
        y : None
            Ignored.

        Raises
        ------
        TypeError, ValueError
            If a parameter is of the wrong kind, or a shape does not fit.
        """
        kernels = self._kernels()
        if self.data_format not in ("channels_last", "channels_first"):
            raise ValueError(f"data_format must be channels_last or channels_first, got {self.data_format!r}")
        as_bool("flatten", self.flatten)
        resolve_threads(self.n_jobs, name="n_jobs")
        images = self._images(X, reset=True)
        shape = images.shape[1:]
        size = window("FilterBank", shape[:2], kernels.shape[:2], padding=self.padding)
        self.input_shape_ = shape
        self.output_shape_ = (size.OH, size.OW, shape[2] * kernels.shape[2])
        return self

    def transform(self, X: npt.ArrayLike) -> FloatArray:
        """Filter images.

        Parameters
        ----------
        X : array
            As for `fit`; flat rows and images of the fitted shape are interchangeable.

        Returns
        -------
        array of shape (n, OH * OW * C * kernels), or maps without `flatten`
            float64 for float64 input, else float32.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If the images have another shape.
        """
        check_is_fitted(self)
        images = self._images(X, reset=False)
        C = images.shape[3]
        # one group per channel, each with all the kernels
        kernels = np.tile(self._kernels().astype(images.dtype), C)[:, :, None, :]
        threads = resolve_threads(self.n_jobs, name="n_jobs")
        y = conv2d(images, kernels, padding=self.padding, groups=C, n_threads=threads)
        y = np.ascontiguousarray(np.moveaxis(y, 3, 1)) if self._first else y
        return y.reshape(len(y), -1) if self.flatten else y

    @property
    def _first(self) -> bool:
        return self.data_format == "channels_first"

    def get_feature_names_out(self, input_features: Sequence[str] | None = None) -> npt.NDArray[Any]:
        """Return names of the outputs: kernel, row, column and, if there are several, channel.

        Parameters
        ----------
        input_features : sequence of str, optional
            Checked, as scikit-learn demands, but not used.

        Raises
        ------
        ValueError
            If `input_features` are not those of `fit`.
        """
        check_is_fitted(self)
        if input_features is not None:
            if len(input_features) != self.n_features_in_:
                raise ValueError(
                    f"input_features should have length equal to number of features "
                    f"({self.n_features_in_}), got {len(input_features)}"
                )
            known = getattr(self, "feature_names_in_", None)
            if known is not None and not np.array_equal(known, np.asarray(input_features, object)):
                raise ValueError("input_features is not equal to feature_names_in_")
        OH, OW, _ = self.output_shape_
        C = self.input_shape_[2]
        tails = [f"_{c}" if C > 1 else "" for c in range(C)]
        names = [
            [[f"{name}_{i}_{j}{c}" for c in tails for name in self.names] for j in range(OW)] for i in range(OH)
        ]
        ordered: npt.NDArray[Any] = np.array(names, dtype=object)
        return (np.moveaxis(ordered, 2, 0) if self._first else ordered).reshape(-1)

    def __sklearn_tags__(self) -> Tags:
        """Declare that X may have three axes, and that the dtype is preserved."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _kernels(self) -> npt.NDArray[np.float64]:
        """Return the kernels, of shape (KH, KW, kernels)."""
        if isinstance(self.names, str) or not isinstance(self.names, Sequence | np.ndarray):
            raise TypeError(f"names must be a sequence of kernel names, got {self.names!r}")
        if not len(self.names) or not all(isinstance(name, str) for name in self.names):
            raise ValueError(f"names must hold one kernel name or more, and only strings, got {self.names!r}")
        return np.stack([get_kernel(name) for name in self.names], axis=2)

    def _images(self, X: npt.ArrayLike, *, reset: bool) -> FloatArray:
        """Return X as (n, H, W, C), checked against the fitted shape."""
        X = as_stack("X", X)
        with np.errstate(over="ignore"):  # numbers too large for the cast become infinite, which is refused
            return self._checked(X, reset=reset)

    def _checked(self, X: npt.ArrayLike, *, reset: bool) -> FloatArray:
        """Return X as (n, H, W, C); with `reset` the number of features is that of X."""
        if (X.ndim if hasattr(X, "ndim") else np.asarray(X).ndim) == 2:
            # scikit-learn's check, which also handles data frames with names, and sparse matrices
            rows: FloatArray = checked_rows(self, X, reset=reset, dtype=_DTYPES)
            shape = self._row_shape(rows.shape[1]) if reset else self.input_shape_
            if self._first:
                H, W, C = shape
                return np.moveaxis(rows.reshape(len(rows), C, H, W), 1, 3)
            return rows.reshape(len(rows), *shape)
        images: FloatArray = check_array(X, dtype=_DTYPES, allow_nd=True, estimator=self, input_name="X")
        if images.ndim == 4 and self._first:
            images = np.moveaxis(images, 1, 3)
        if images.ndim == 3:
            images = images[:, :, :, None]
        if images.ndim != 4:
            raise ValueError(f"X must be images of shape (n, H, W, C) or (n, H, W), got shape {images.shape}")
        if reset:
            self.n_features_in_ = np.shape(X)[1]
        elif images.shape[1:] != self.input_shape_:
            raise ValueError(
                f"X has images of shape {images.shape[1:]} (H, W, C), but FilterBank was fitted on "
                f"{self.input_shape_}"
            )
        return images

    def _row_shape(self, features: int) -> tuple[int, int, int]:
        """Return (H, W, C) of the image in a flat row."""
        if self.image_shape is None:
            return 1, features, 1
        given = as_tuples(self.image_shape)
        if not isinstance(given, tuple):
            raise TypeError(f"image_shape must be (H, W) or (H, W, C), got {self.image_shape!r}")
        shape = tuple(as_int("image_shape", size, 1) for size in given)
        if self._first and len(shape) == 3:
            shape = (*shape[1:], shape[0])
        if len(shape) not in (2, 3) or math.prod(shape) != features:
            raise ValueError(
                f"image_shape {self.image_shape} does not fit rows of {features} features: "
                f"give (H, W) or (H, W, C) with H * W * C = {features}"
            )
        return shape[0], shape[1], shape[2] if len(shape) == 3 else 1
