"""ImageReader: from paths to images, as a step of a pipeline."""

from __future__ import annotations

import os
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from pyconvx._core.containers import MapTransformer
from pyconvx._core.types import Array
from pyconvx.datasets.decoding import Decoder


class ImageReader(MapTransformer, BaseEstimator):
    """Read image files of any sizes into one array; X is paths.

    Parameters
    ----------
    size : int or (height, width), default=(32, 32)
        What all images are brought to.
    resize : {"stretch", "crop", "pad"}, default="stretch"
        How an image of other proportions gets that size, as in `load_image_folder`.
    color_mode : {"rgb", "grayscale", "grayscale16"}, default="rgb"
        What all images become.
    folder : str or path-like, optional
        Where relative paths begin; by default the current folder.

    Attributes
    ----------
    output_shape_ : (H, W, C)
        Of each image.
    n_features_in_ : int
        1: a path.
    feature_names_in_ : array of str
        Name of the column, if X was a data frame.

    Examples
    --------
    >>> from pyconvx import CNNClassifier
    >>> from pyconvx.datasets import ImageReader
    >>> from sklearn.pipeline import make_pipeline
    >>> model = make_pipeline(ImageReader(size=64), CNNClassifier())  # model.fit(paths, labels)
    """

    def __init__(
        self,
        size: int | tuple[int, int] = (32, 32),
        *,
        resize: str = "stretch",
        color_mode: str = "rgb",
        folder: str | os.PathLike[str] | None = None,
    ) -> None:
        self.size = size
        self.resize = resize
        self.color_mode = color_mode
        self.folder = folder

    def fit(self, X: Any, y: Any = None) -> Self:
        """Check parameters and paths; no file is opened.

        Parameters
        ----------
        X : array-like of str or path-like, of shape (n,) or (n, 1)
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            If a parameter is not legal, or X holds something other than paths.
        """
        decoder = self._decoder()
        self._paths(X)
        names = _names(X)
        if names is not None:
            self.feature_names_in_ = names
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        self.n_features_in_ = 1
        self.output_shape_ = (*(decoder.size or ()), decoder.channels)
        return self

    def transform(self, X: Any) -> Array:
        """Read files.

        Parameters
        ----------
        X : array-like of str or path-like, of shape (n,) or (n, 1)

        Returns
        -------
        array of shape (n, H, W, C)
            uint8, or uint16 for "grayscale16".

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If a file is damaged.
        OSError
            If a file cannot be opened.
        """
        check_is_fitted(self)
        decoder, paths, names = self._decoder(), self._paths(X), _names(X)
        known = getattr(self, "feature_names_in_", None)
        if known is not None and names is not None and names[0] != known[0]:
            raise ValueError(
                "The feature names should match those that were passed during fit: the column was "
                f"{known[0]!r}, and is {names[0]!r}"
            )
        images = np.empty((len(paths), *self.output_shape_), decoder.dtype)
        for image, path in zip(images, paths, strict=True):
            image[...] = decoder.read(path)
        return images

    def get_feature_names_out(self, input_features: Any = None) -> Array:
        """Return names of the numbers of a flattened image: row, column, channel; `input_features` is not used."""
        check_is_fitted(self)
        return np.array(["pixel_" + "_".join(map(str, i)) for i in np.ndindex(self.output_shape_)], dtype=object)

    def _decoder(self) -> Decoder:
        """Return what reads a file."""
        if self.size is None:
            raise TypeError("size must be (height, width) or an int, got None: all images get one size")
        return Decoder.of(self.size, self.resize, self.color_mode)

    def _paths(self, X: Any) -> list[str]:
        """Return X as paths."""
        values = np.asarray(X, dtype=object)
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        if values.ndim != 1:
            raise ValueError(f"X must be paths, of shape (n,) or (n, 1), got shape {values.shape}")
        if not len(values):
            raise ValueError("Found array with 0 sample(s) while a minimum of 1 is required by ImageReader.")
        for i, value in enumerate(values):
            if not isinstance(value, (str, os.PathLike)):
                raise TypeError(f"X must be paths, got {value!r} in row {i}")
        folder = "" if self.folder is None else self.folder
        return [os.path.join(folder, value) for value in values]

    def __sklearn_tags__(self) -> Tags:
        """Say that X is text in one column."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        tags.transformer_tags.preserves_dtype = []
        return tags


def _names(X: Any) -> Array | None:
    """Return the name of a data frame's column."""
    names = list(X.columns) if hasattr(X, "columns") else []
    return np.array(names, dtype=object) if names and all(isinstance(name, str) for name in names) else None
