"""Which image files there are, and their labels: folders, lists, tables."""

import csv
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pyconvx._core.types import Array

# what counts as an image in a folder; files that are named one by one may have any name
SUFFIXES = frozenset(
    f".{ending}"
    for ending in (
        "avif", "bmp", "dib", "gif", "jfif", "jp2", "jpe", "jpeg", "jpg", "pbm", "pgm", "png", "pnm", "ppm", "tga",
        "tif", "tiff", "webp",
    )
)  # fmt: skip
_COLUMNS = (("path", "file", "filename", "image"), ("label", "class", "target", "y"))


@dataclass(frozen=True, eq=False)
class Listing:
    """Files, and what is known of each.

    Parameters
    ----------
    files : list of str
    target : array of shape (n,), or None
        Numbers of classes, or numbers as they were given.
    target_names : list of str, or None
        Names of the classes.
    """

    files: list[str]
    target: Array | None
    target_names: list[str] | None

    def take(self, rows: Sequence[int]) -> "Listing":
        """Return some of the files."""
        target = None if self.target is None else self.target[list(rows)]
        return Listing([self.files[row] for row in rows], target, self.target_names)


def listed(path: Any, labels: Any) -> Listing:
    """Return the files of a folder with a folder per class, of a list, or of a table.

    Raises
    ------
    ValueError
        If there are no images, or labels do not fit.
    FileNotFoundError, NotADirectoryError
        If `path` does not exist, or is neither a folder nor a CSV file.
    """
    if isinstance(path, (str, os.PathLike)):
        if labels is not None:
            raise ValueError(
                "labels belong to a list of paths, got one path: its folders or table have the labels"
            )
        given = Path(path)
        return _of_table(*_of_csv(given)) if given.suffix.lower() == ".csv" else _of_folder(given)
    if hasattr(path, "columns"):
        if labels is not None:
            raise ValueError("labels belong to a list of paths, got a data frame, which has a column of them")
        return _of_table(*_of_frame(path))
    return _of_table(list(path), labels)


def _of_folder(folder: Path) -> Listing:
    """Return the images of each folder in a folder; their order is that of the names."""
    if not folder.is_dir():
        kind = NotADirectoryError if folder.exists() else FileNotFoundError
        raise kind(f"{folder} is no folder")
    files: list[str] = []
    numbers: list[int] = []
    names: list[str] = []
    for each in sorted(folder.iterdir()):
        found = [] if each.name.startswith(".") or not each.is_dir() else sorted(_images(each))
        if found:
            files += [str(file) for file in found]
            numbers += [len(names)] * len(found)
            names.append(each.name)
    if not files:
        raise ValueError(
            f"{folder} has no folder with images in it: put the images of each class into a folder of its own, or "
            "pass a list of paths and one of labels"
        )
    return Listing(files, np.array(numbers, np.int64), names)


def _images(folder: Path) -> Iterator[Path]:
    """Find the images in a folder and the folders in it, except hidden ones."""
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                yield Path(root, name)


def _of_csv(path: Path) -> tuple[list[str], Any]:
    """Read paths, which begin at the folder of the table, and labels; numbers if all of them are."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = [row for row in csv.reader(file) if row]
    if not rows:
        raise ValueError(f"{path} is empty: its first line names the columns, such as path,label")
    first, second = _columns(rows[0], str(path))
    for i, row in enumerate(rows[1:], 2):
        if len(row) != len(rows[0]):
            raise ValueError(f"{path}: row {i} has {len(row)} columns, the first has {len(rows[0])}")
    files = [str(path.parent / row[first]) for row in rows[1:]]
    return files, None if second is None else _numbers([row[second] for row in rows[1:]])


def _of_frame(frame: Any) -> tuple[list[Any], Any]:
    """Return the columns of paths and labels of a data frame."""
    names = list(frame.columns)
    first, second = _columns([str(name) for name in names], "the data frame")
    files = list(np.asarray(frame[names[first]]))
    return files, None if second is None else np.asarray(frame[names[second]])


def _columns(names: Sequence[str], where: str) -> tuple[int, int | None]:
    """Return which columns hold paths and labels: those with a usual name, or the first two."""
    places = [next((i for i, name in enumerate(names) if name.lower() in usual), None) for usual in _COLUMNS]
    if places == [None, None]:
        places = [0, 1 if len(names) > 1 else None]
    if places[0] is None:
        raise ValueError(f"{where} has no column of paths: call one of its columns {list(names)} path")
    return places[0], places[1]


def _numbers(texts: list[str]) -> Array:
    """Return texts as integers or floats if all of them are such, else as they are."""
    if any("_" in text for text in texts):  # which Python would read as the separator of digits
        return np.array(texts)
    for kind in (int, float):
        try:
            return np.array([kind(text) for text in texts])
        except (ValueError, OverflowError):
            continue
    return np.array(texts)


def _of_table(files: list[Any], labels: Any) -> Listing:
    """Return files that were named one by one; labels that are text become numbers of classes."""
    for i, file in enumerate(files):
        if not isinstance(file, (str, os.PathLike)):
            raise TypeError(f"paths must be text or path-like, got {file!r} at {i}")
    if not files:
        raise ValueError("there are no paths")
    names = [os.fspath(file) for file in files]
    if labels is None:
        return Listing(names, None, None)
    target = np.asarray(labels)
    if target.ndim == 0 or len(target) != len(names):
        raise ValueError(f"there are {len(names)} paths and labels of shape {target.shape}")
    if target.dtype.kind in "biuf":
        return Listing(names, target, None)
    if target.ndim != 1 or not all(isinstance(label, str) for label in target.tolist()):
        raise ValueError(f"labels must be all text, or all numbers, got {target.dtype} of shape {target.shape}")
    classes, numbers = np.unique(target.astype(str), return_inverse=True)
    return Listing(names, numbers.astype(np.int64), classes.tolist())
