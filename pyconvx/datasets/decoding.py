"""One image file as an array: rotation, colours, size. Pillow reads the bytes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from pyconvx._core.numbers import as_int
from pyconvx._core.types import Array, Pair, Shape
from pyconvx.datasets.optional import require

COLOR_MODES = {"rgb": (3, "uint8"), "grayscale": (1, "uint8"), "grayscale16": (1, "uint16")}
RESIZES = ("stretch", "crop", "pad")
_WHITE = 255
_TOP16 = 65535
_ORIENTATION = 0x0112  # of EXIF
_TURNED = (5, 6, 7, 8)  # its values that swap height and width


@dataclass(frozen=True)
class Decoder:
    """How files become arrays of one kind.

    Parameters
    ----------
    size : (H, W), optional
        None leaves every image as large as it is.
    resize : {"stretch", "crop", "pad"}
        How an image of other proportions gets that size.
    color_mode : {"rgb", "grayscale", "grayscale16"}
    """

    size: Pair | None
    resize: str
    color_mode: str

    @classmethod
    def of(cls, size: Any, resize: Any, color_mode: Any) -> "Decoder":
        """Check what a user gave; an int as `size` means a square."""
        for name, value, legal in (("resize", resize, RESIZES), ("color_mode", color_mode, tuple(COLOR_MODES))):
            if not isinstance(value, str) or value not in legal:
                raise ValueError(f"{name} must be one of {', '.join(legal)}, got {value!r}")
        if size is None:
            return cls(None, resize, color_mode)
        pair = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
        if len(pair) != 2:
            raise ValueError(f"size must be (height, width) or an int, got {size!r}")
        return cls((as_int("size", pair[0], 1), as_int("size", pair[1], 1)), resize, color_mode)

    @property
    def channels(self) -> int:
        """Length of the last axis."""
        return COLOR_MODES[self.color_mode][0]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Kind of the numbers."""
        return np.dtype(COLOR_MODES[self.color_mode][1])

    def shape_of(self, path: str | os.PathLike[str]) -> Shape:
        """Return (H, W, C) of the array that a file gives; only its header is read."""
        with _opened(path) as image:
            if self.size is not None:
                return (*self.size, self.channels)
            width, height = image.size
            # of a PNG this reads all pixels, as the rotation may come after them
            if width != height and image.getexif().get(_ORIENTATION, 1) in _TURNED:
                width, height = height, width
        return (height, width, self.channels)

    def read(self, path: str | os.PathLike[str]) -> Array:
        """Return a file as an array (H, W, C); ValueError if it is damaged, OSError if it cannot be opened."""
        ops = require("PIL.ImageOps", "Pillow", "images")
        with _opened(path) as image:
            image.load()  # the first frame of an animation
            pixels = self._converted(ops.exif_transpose(image))
            if self.size is not None:
                pixels = self._resized(pixels, ops)
            array = np.asarray(pixels)
        if self.color_mode == "grayscale16":
            array = np.rint(array).astype(np.uint16)
        return array if array.ndim == 3 else array[:, :, None]

    def _converted(self, image: Any) -> Any:
        """Return an image in the wanted colours."""
        if image.mode == "F":
            raise ValueError("it holds floats, whose range is not known: read it with a library for such files")
        if image.mode.startswith("I"):
            numbers = np.asarray(image)
            if numbers.size and (numbers.min() < 0 or numbers.max() > _TOP16):
                raise ValueError(f"its pixels go from {numbers.min()} to {numbers.max()}, not from 0 to {_TOP16}")
            if self.color_mode == "grayscale16":
                return _of16(numbers)
            image = _module().fromarray(((numbers.astype(np.uint32) + 128) // 257).astype(np.uint8))
        if {"A", "a"} & set(image.getbands()) or "transparency" in image.info:
            image = image.convert("RGBA")
            white = _module().new("RGBA", image.size, (_WHITE,) * 4)
            image = _module().alpha_composite(white, image)
        if self.color_mode == "rgb":
            return image.convert("RGB")
        if image.mode not in ("1", "L", "RGB"):
            image = image.convert("RGB")
        image = image.convert("L")
        return _of16(np.asarray(image).astype(np.uint16) * 257) if self.color_mode == "grayscale16" else image

    def _resized(self, image: Any, ops: Any) -> Any:
        """Return an image of the wanted size: stretched, or with its proportions."""
        height, width = self.size or image.size[::-1]
        if image.size == (width, height):
            return image
        method = _module().Resampling.BILINEAR  # averages over all pixels when it makes an image smaller
        if self.resize == "crop":
            return ops.fit(image, (width, height), method)
        if self.resize == "pad":
            return ops.pad(image, (width, height), method)
        return image.resize((width, height), method)


def _module() -> Any:
    """Return Pillow's module of images."""
    return require("PIL.Image", "Pillow", "images")


def _of16(numbers: Array) -> Any:
    """Return an image that keeps 16 bits while it is resized."""
    return _module().fromarray(np.ascontiguousarray(numbers, np.float32))


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[Any]:
    """Open an image file; whatever Pillow makes of a broken one becomes a ValueError that names it."""
    module = _module()
    try:
        with module.open(path) as image:
            yield image
    except module.UnidentifiedImageError as error:
        raise ValueError(f"{os.fspath(path)} is no image that Pillow knows") from error
    except (MemoryError, ImportError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk's, not the decoder's
            raise
        raise ValueError(f"{os.fspath(path)} cannot be decoded: {error}") from error
