"""load_image_folder: image files as one array, with their labels."""

import time
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from pyconvx._core.caller import warn_caller
from pyconvx._core.numbers import as_bool
from pyconvx._core.types import Array, Shape
from pyconvx.datasets.decoding import Decoder
from pyconvx.datasets.lazy_images import LazyImages
from pyconvx.datasets.listing import Listing, listed

_SECONDS = 2.0  # between lines of progress
_NAMED = 3  # skipped files in a warning


def load_image_folder(
    path: Any,
    labels: Any = None,
    *,
    size: int | tuple[int, int] | None = None,
    resize: str = "stretch",
    color_mode: str = "rgb",
    on_error: str = "raise",
    lazy: bool = False,
    verbose: bool = False,
) -> Bunch:
    """Read image files, labelled by their folders or by a table, into one array.

    Parameters
    ----------
    path : str, path-like, list of them, or data frame
        A folder with one folder per class; a list of files; a CSV file or a data frame with a column of files and
        one of labels. The columns are those called path (or file, filename, image) and label (or class, target,
        y), or else the first two. Files of a CSV file are looked for beside it.
    labels : array-like of shape (n,), optional
        For a list of files: text, which is numbered, or numbers, which stay as they are.
    size : int or (height, width), optional
        What all images are brought to. Without it they have to be of one size.
    resize : {"stretch", "crop", "pad"}, default="stretch"
        How an image of other proportions gets that size: its proportions change, what is beyond the middle is cut
        off, or black is added around it. Pixels are averaged (bilinear, over all pixels of a larger image).
    color_mode : {"rgb", "grayscale", "grayscale16"}, default="rgb"
        What all images become. Grey has one channel; "grayscale16" keeps the 16 bits of medical and scientific
        images, as uint16, and the other modes scale these to 8 bits.
    on_error : {"raise", "skip"}, default="raise"
        What happens if a file cannot be read.
    lazy : bool, default=False
        Whether to return `LazyImages`, which reads files when they are indexed. Only headers are read now, so
        that a file whose pixels are damaged is found later.
    verbose : bool, default=False
        Whether to print how far it is, every two seconds.

    Returns
    -------
    Bunch
        images : array or LazyImages of shape (n, H, W, C), uint8 or uint16;
        target : array of shape (n,), numbers of classes or the numbers that were given, None without labels;
        target_names : list of str, the names of the classes, None without classes;
        filenames : list of str;
        skipped : list of str, files that could not be read.

    Raises
    ------
    ValueError
        If a file is damaged, sizes differ, labels do not fit, or there is no image.
    OSError
        If a file or folder cannot be read.
    ImportError
        Without Pillow: ``pip install "pyconvx[images]"``.

    Warns
    -----
    UserWarning
        If files were skipped.

    Notes
    -----
    In a folder, files and folders whose names begin with a dot are left out, and so are files whose endings are
    not those of images, files beside the folders of classes, and folders without images. Folders within a class
    are searched too. Classes and files are ordered by their names.

    A rotation that a camera noted (EXIF) is applied. Transparent pixels are put on white. Palettes, CMYK (without
    colour profiles) and single bits become RGB or grey; grey is 0.299 R + 0.587 G + 0.114 B. Of an animation the
    first frame is taken. 8-bit numbers are multiplied by 257 for "grayscale16".

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from pyconvx.datasets import load_image_folder
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> for name, pixels in (("cat", b"0 9 9 0"), ("dog", b"7 7 7 7")):
    ...     (folder / name).mkdir()
    ...     _ = (folder / name / "1.pgm").write_bytes(b"P2 2 2 9 " + pixels)
    >>> data = load_image_folder(folder, color_mode="grayscale")
    >>> data.images.shape, data.target, data.target_names
    ((2, 2, 2, 1), array([0, 1]), ['cat', 'dog'])
    """
    decoder = Decoder.of(size, resize, color_mode)
    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error must be raise or skip, got {on_error!r}")
    lazy, verbose = as_bool("lazy", lazy), as_bool("verbose", verbose)
    listing = listed(path, labels)
    reading = _Reading(listing, decoder, skips=on_error == "skip", verbose=verbose)
    images, kept = reading.headers() if lazy else reading.pixels()
    skipped = sorted(set(range(len(listing.files))) - set(kept))
    names = [listing.files[row] for row in skipped]
    if names:
        shown = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
        warn_caller(f"{len(names)} of {len(listing.files)} files could not be read: {shown}", UserWarning)
    rest = listing.take(kept)
    return Bunch(
        images=images, target=rest.target, target_names=rest.target_names, filenames=rest.files, skipped=names
    )


class _Reading:
    """One pass over the files."""

    def __init__(self, listing: Listing, decoder: Decoder, *, skips: bool, verbose: bool) -> None:
        self._files, self._decoder, self._skips, self._verbose = listing.files, decoder, skips, verbose
        self._told = time.monotonic()
        self._first: tuple[str, Shape] | None = None

    def headers(self) -> tuple[LazyImages, list[int]]:
        """Return images that are read later, and which files they are."""
        kept = [row for row in range(len(self._files)) if self._tried(row, self._decoder.shape_of) is not None]
        if self._first is None:
            raise self._none()
        return LazyImages([self._files[row] for row in kept], self._decoder, self._first[1]), kept

    def pixels(self) -> tuple[Array, list[int]]:
        """Return all images, and which files they are."""
        out: Array | None = None
        kept: list[int] = []
        for row in range(len(self._files)):
            image = self._tried(row, self._decoder.read)
            if image is None:
                continue
            if out is None:
                out = np.empty((len(self._files), *image.shape), image.dtype)
            out[len(kept)] = image
            kept.append(row)
        if out is None:
            raise self._none()
        return out[: len(kept)], kept

    def _none(self) -> ValueError:
        """Return the error for files that were all skipped."""
        return ValueError(f"none of the {len(self._files)} files could be read, such as {self._files[0]}")

    def _tried(self, row: int, read: Any) -> Any:
        """Read a file, or its header; None if it is skipped."""
        file = self._files[row]
        try:
            found = read(file)
        except (ValueError, OSError):
            if not self._skips:
                raise
            return None
        shape = found if isinstance(found, tuple) else found.shape
        if self._first is None:
            self._first = file, shape
        if shape != self._first[1]:
            raise ValueError(
                f"{self._first[0]} has (height, width) {self._first[1][:2]} and {file} {shape[:2]}: pass "
                'size=(height, width), and resize="stretch", "crop" or "pad"'
            )
        self._tell(row + 1)
        return found

    def _tell(self, done: int) -> None:
        """Print how many files were read, from time to time."""
        if self._verbose and (done == len(self._files) or time.monotonic() - self._told > _SECONDS):
            self._told = time.monotonic()
            print(f"{done:,} of {len(self._files):,} images", flush=True)
