"""Images that are read when they are indexed: as an array to look at, as files on the disk."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from pyconvx._core.types import Array, Shape
from pyconvx.datasets.decoding import Decoder


class LazyImages:
    """An array of images that are decoded when they are asked for; ``load_image_folder(lazy=True)`` makes it.

    It has ``shape``, ``dtype``, ``ndim`` and a length, is indexed along its first axis by integers, slices,
    arrays of integers and masks, and becomes an array with `numpy.asarray`, which reads everything.

    Attributes
    ----------
    files : tuple of str
    shape : (n, H, W, C)
    dtype : uint8 or uint16
    """

    ndim = 4

    def __init__(self, files: Sequence[str], decoder: Decoder, shape: Shape) -> None:
        self.files = tuple(files)
        self.shape: Shape = (len(self.files), *shape)
        self.dtype = decoder.dtype
        self._decoder = decoder

    @property
    def size(self) -> int:
        """Number of numbers."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[Array]:
        return (self._read(file) for file in self.files)

    def __getitem__(self, index: Any) -> Array:
        """Decode one image (H, W, C), or several (k, H, W, C).

        Raises
        ------
        ValueError
            If a file is damaged, or has another size than it had.
        OSError
            If it cannot be read any more.
        """
        chosen = np.arange(len(self))[index]
        if np.ndim(chosen) == 0:
            return self._read(self.files[int(chosen)])
        if np.ndim(chosen) != 1:
            raise IndexError(f"images are indexed along the first axis only, got {index!r}")
        out = np.empty((len(chosen), *self.shape[1:]), self.dtype)
        for place, row in enumerate(chosen):
            out[place] = self._read(self.files[row])
        return out

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """Decode everything."""
        if copy is False:
            raise ValueError("images on the disk cannot become an array without a copy")
        return self[:] if dtype is None else self[:].astype(dtype, copy=False)

    def _read(self, file: str) -> Array:
        """Decode a file, which has to be as large as it was."""
        image = self._decoder.read(file)
        if image.shape != self.shape[1:]:
            raise ValueError(f"{file} has shape {image.shape}, it had {self.shape[1:]} when it was listed")
        return image

    def __repr__(self) -> str:
        return f"LazyImages(shape={self.shape}, dtype={self.dtype})"
