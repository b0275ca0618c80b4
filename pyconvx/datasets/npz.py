"""NumPy's archives of arrays, checked before their memory is taken."""

import errno
import os
import zipfile

import numpy as np
from numpy.lib import format as npy
from sklearn.utils import Bunch


def load_npz(path: str | os.PathLike[str]) -> Bunch:
    """Read all arrays of an .npz file, as `numpy.savez` and `numpy.savez_compressed` write them.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    Bunch
        The arrays by their names, such as ``data["x_train"]`` or ``data.x_train``.

    Raises
    ------
    ValueError
        If the file is damaged, is of another kind, or holds Python objects, which could run code.
    OSError
        If it cannot be read.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> from pyconvx.datasets import load_npz
    >>> path = tempfile.mkdtemp() + "/data.npz"
    >>> np.savez(path, X=np.zeros((5, 8, 8), np.uint8), y=np.arange(5))
    >>> load_npz(path).X.shape
    (5, 8, 8)
    """
    name = os.fspath(path)
    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                return Bunch(**{_key(info): _read(archive, info) for info in archive.infolist()})
        except MemoryError:
            raise
        except Exception as error:  # a damaged archive may lead zipfile anywhere
            # the disk's own errors stay what they are; EINVAL is a place that no file has
            if isinstance(error, OSError) and error.errno != errno.EINVAL:
                raise
            raise ValueError(f"{name} cannot be read as .npz: {error}") from error


def _key(info: zipfile.ZipInfo) -> str:
    """Return the name that an array was saved under."""
    return info.filename.removesuffix(".npy")


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    """Read one array, whose header has to agree with the number of its bytes."""
    with archive.open(info) as file:
        try:
            major, _ = npy.read_magic(file)
            header = npy.read_array_header_1_0 if major == 1 else npy.read_array_header_2_0
            shape, _, dtype = header(file)
        except (ValueError, SyntaxError, UnicodeDecodeError) as error:
            raise ValueError(f"{info.filename} is no array: {error}") from error
        if dtype.hasobject:
            raise ValueError(f"{_key(info)} holds Python objects: save arrays of numbers or of text")
        declared, held = dtype.itemsize, info.file_size - file.tell()
        for size in shape:
            declared *= int(size)
        if declared != held:
            raise ValueError(
                f"{_key(info)} declares shape {shape} of {dtype}, {declared:,} bytes, and holds {held:,}"
            )
    with archive.open(info) as file:
        array: np.ndarray = npy.read_array(file, allow_pickle=False)
    return array
