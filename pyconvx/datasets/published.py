"""Fashion-MNIST and CIFAR-10: from a folder on the disk, or downloaded once.

Downloads are checked against the checksums that were published, and kept in pooch's folder for caches.
"""

import io
import os
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from pyconvx._core.types import Array
from pyconvx.datasets.idx import load_idx
from pyconvx.datasets.optional import require

FASHION_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
FASHION_MD5 = {
    "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
}
FASHION_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
CIFAR_URL = "https://www.cs.toronto.edu/~kriz/"
CIFAR_MD5 = {"cifar-10-python.tar.gz": "c58f30108f718f92721af3b95e74349a"}
CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_CIFAR_FILES = {"train": tuple(f"data_batch_{i}" for i in range(1, 6)), "test": ("test_batch",)}


def load_fashion_mnist(path: str | os.PathLike[str] | None = None, *, subset: str = "train") -> Bunch:
    """Return Fashion-MNIST: 60,000 grey images of clothes to train on, 10,000 to test.

    Parameters
    ----------
    path : str or path-like, optional
        Folder with the four files as published, compressed or not. Without it they are downloaded once, which
        needs pooch (``pip install "pyconvx[files]"``).
    subset : {"train", "test"}, default="train"

    Returns
    -------
    Bunch
        images : uint8 array of shape (n, 28, 28); target : uint8 array of shape (n,); target_names : list of str.

    Raises
    ------
    ValueError
        If a file is damaged, or is not what was published.
    OSError
        If a file is missing, or cannot be downloaded.

    Notes
    -----
    Xiao, Rasul and Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms"
    (2017).
    """
    part = {"train": "train", "test": "t10k"}[_checked(subset)]
    images, target = (
        load_idx(_found(path, f"{part}-{name}.gz", FASHION_URL, FASHION_MD5))
        for name in ("images-idx3-ubyte", "labels-idx1-ubyte")
    )
    if images.ndim != 3 or target.shape != images.shape[:1]:
        raise ValueError(f"{part}: images of shape {images.shape}, labels of shape {target.shape}")
    return Bunch(images=images, target=target, target_names=list(FASHION_CLASSES))


def load_cifar10(path: str | os.PathLike[str] | None = None, *, subset: str = "train") -> Bunch:
    """Return CIFAR-10: 50,000 colour images of animals and vehicles to train on, 10,000 to test.

    Parameters
    ----------
    path : str or path-like, optional
        Folder with cifar-10-python.tar.gz, or with the files in it. Without it the archive is downloaded once,
        which needs pooch (``pip install "pyconvx[files]"``).
    subset : {"train", "test"}, default="train"

    Returns
    -------
    Bunch
        images : uint8 array of shape (n, 32, 32, 3); target : int64 array of shape (n,); target_names : list of
        str.

    Raises
    ------
    ValueError
        If a file is damaged, or is not what was published.
    OSError
        If a file is missing, or cannot be downloaded.

    Notes
    -----
    Krizhevsky, "Learning Multiple Layers of Features from Tiny Images" (2009). The files are pickles; they are
    read without running any code of theirs.
    """
    files = _CIFAR_FILES[_checked(subset)]
    batches = [_cifar_batch(name, data) for name, data in _cifar_bytes(path, files)]
    images = np.concatenate([batch[0] for batch in batches])
    target = np.concatenate([batch[1] for batch in batches])
    return Bunch(images=images, target=target, target_names=list(CIFAR_CLASSES))


def _checked(subset: Any) -> str:
    """Refuse an unknown part."""
    if not isinstance(subset, str) or subset not in ("train", "test"):
        raise ValueError(f"subset must be train or test, got {subset!r}")
    return subset


def _found(path: Any, name: str, url: str, checksums: dict[str, str]) -> Path:
    """Return where a file is; without a folder it is downloaded, unless it was before."""
    if path is not None:
        file, plain = Path(path, name), Path(path, name.removesuffix(".gz"))
        return plain if plain.exists() and not file.exists() else file
    pooch = require("pooch", "pooch", "files")
    known = f"md5:{checksums[name]}"
    return Path(pooch.retrieve(url + name, known_hash=known, fname=name, path=pooch.os_cache("pyconvx")))


def _cifar_bytes(path: Any, files: tuple[str, ...]) -> list[tuple[str, bytes]]:
    """Return the names and bytes of the batches, from a folder or from the archive."""
    for folder in () if path is None else (Path(path), Path(path, "cifar-10-batches-py")):
        if (folder / files[0]).exists():
            return [(str(folder / name), (folder / name).read_bytes()) for name in files]
    archive = _found(path, "cifar-10-python.tar.gz", CIFAR_URL, CIFAR_MD5)
    found = {}
    try:
        with tarfile.open(archive) as packed:
            for member in packed:
                name = Path(member.name).name
                file = packed.extractfile(member) if name in files else None
                if file is not None:
                    found[name] = file.read()
    except (tarfile.TarError, EOFError) as error:
        raise ValueError(f"{archive} is no whole archive: {error}") from error
    missing = [name for name in files if name not in found]
    if missing:
        raise ValueError(f"{archive} has no {', '.join(missing)}")
    return [(f"{archive}: {name}", found[name]) for name in files]


class _ArraysOnly(pickle.Unpickler):
    """Reads pickles of arrays and plain values; every other name is refused, so that no code runs."""

    _ALLOWED = frozenset(
        {
            ("numpy", "dtype"),
            ("numpy", "ndarray"),
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        """Return one of the few names that an array needs."""
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def _cifar_batch(name: str, data: bytes) -> tuple[Array, Array]:
    """Return the images and labels of one file."""
    try:
        batch = _ArraysOnly(io.BytesIO(data), encoding="bytes").load()
        pixels, labels = np.asarray(batch[b"data"]), np.array(batch[b"labels"], np.int64)
    except Exception as error:  # a damaged pickle may raise anything
        raise ValueError(f"{name} is no file of CIFAR-10: {error}") from error
    if pixels.dtype != np.uint8 or pixels.shape != (len(labels), 3072):
        held = f"{pixels.dtype} of shape {pixels.shape} and {len(labels)} labels"
        raise ValueError(f"{name} holds {held}, not uint8 of shape (n, 3072) and n labels")
    return np.ascontiguousarray(np.moveaxis(pixels.reshape(-1, 3, 32, 32), 1, 3)), labels
