"""Damaged files and odd arguments of data sets: refused with the file's name, or read as what they are."""

import gzip
import io
import tempfile
import warnings
from pathlib import Path

import numpy as np
from fuzzing import fuzz, outcome
from hypothesis import strategies as st
from PIL import Image

from pyconvx.datasets import (
    ImageReader,
    LazyImages,
    load_cifar10,
    load_fashion_mnist,
    load_idx,
    load_image_folder,
    load_npz,
)

KINDS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "PPM", "WEBP")
MODES = ("1", "L", "RGB", "RGBA", "P", "CMYK", "I;16", "LA")
places = st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), max_size=4)
seeds = st.integers(0, 2**32)


def spoilt(data, changes, cut):
    """Return bytes of a file with some of them changed, and the end cut off."""
    data = bytearray(data)
    for place, byte in changes:
        data[place % len(data)] = byte
    return bytes(data[: len(data) - cut])


def named(path, error):
    """Make sure that an error says which file it is about."""
    assert str(path) in str(error)


def file_with(data, name="file"):
    """Return a folder, which has to be kept, and a file in it."""
    folder = tempfile.TemporaryDirectory()
    path = Path(folder.name, name)
    path.write_bytes(data)
    return folder, path


@fuzz(
    "datasets.load_idx",
    weight=4,
    shape=st.lists(st.integers(0, 4), min_size=1, max_size=3),
    seed=seeds,
    changes=places,
    cut=st.integers(0, 3),
    packed=st.booleans(),
)
def test_idx(shape, seed, changes, cut, packed):
    array = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    data = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes() + array.tobytes()
    damaged = spoilt(gzip.compress(data) if packed else data, changes, cut)
    folder, path = file_with(damaged)
    with folder:
        try:
            found = load_idx(path)
        except ValueError as error:
            assert damaged != data
            named(path, error)
            return
    assert found.nbytes <= 1032 * len(damaged)  # gzip packs no tighter
    if not changes and not cut:
        np.testing.assert_array_equal(found, array)


@fuzz("datasets.load_npz", weight=4, seed=seeds, changes=places, cut=st.integers(0, 3), packed=st.booleans())
def test_npz(seed, changes, cut, packed):
    arrays = {"X": np.random.default_rng(seed).random((3, 2)), "y": np.array(["a", "b"])}
    file = io.BytesIO()
    (np.savez_compressed if packed else np.savez)(file, **arrays)
    damaged = spoilt(file.getvalue(), changes, cut)
    folder, path = file_with(damaged)
    with folder:
        try:
            found = load_npz(path)
        except ValueError as error:
            assert damaged != file.getvalue()
            named(path, error)
            return
    for name in found:
        if name in arrays:
            np.testing.assert_array_equal(found[name], arrays[name])


@fuzz(
    "datasets.load_image_folder",
    "datasets.LazyImages",
    "datasets.ImageReader",
    weight=6,
    kind=st.sampled_from(KINDS),
    mode=st.sampled_from(MODES),
    size=st.sampled_from([None, 3, (4, 2)]),
    resize=st.sampled_from(["stretch", "crop", "pad"]),
    color_mode=st.sampled_from(["rgb", "grayscale", "grayscale16"]),
    seed=seeds,
    changes=places,
    cut=st.sampled_from([0, 0, 1, 20]),
)
def test_images(kind, mode, size, resize, color_mode, seed, changes, cut):
    rng, file = np.random.default_rng(seed), io.BytesIO()
    image = Image.frombytes(mode, (7, 5), rng.bytes(7 * 5 * 4)[: len(Image.new(mode, (7, 5)).tobytes())])
    try:
        image.save(file, kind)
    except (OSError, ValueError):  # this format has no such images
        return
    damaged = spoilt(file.getvalue(), changes, cut)
    folder, path = file_with(damaged)
    with folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of odd headers
        options = {"resize": resize, "color_mode": color_mode}
        try:
            data = load_image_folder([path], size=size, **options)
        except ValueError as error:
            assert damaged != file.getvalue()
            named(path, error)
            return
        lazy = load_image_folder([path], size=size, lazy=True, **options).images
        assert isinstance(lazy, LazyImages)
        np.testing.assert_array_equal(lazy[0], data.images[0])
        if size is not None:
            reader = ImageReader(size, **options)
            np.testing.assert_array_equal(reader.fit_transform([path]), data.images)
    channels, dtype = (3, np.uint8) if color_mode == "rgb" else (1, np.uint16 if "16" in color_mode else np.uint8)
    height, width = (size, size) if isinstance(size, int) else size or data.images.shape[1:3]
    assert data.images.shape == (1, height, width, channels)
    assert data.images.dtype == dtype


@fuzz(
    "datasets.load_fashion_mnist",
    "datasets.load_cifar10",
    load=st.sampled_from([load_fashion_mnist, load_cifar10]),
    subset=st.sampled_from(["train", "test", "all", "", None, 0, ("train",)]),
    data=st.binary(max_size=60),
)
def test_published(load, subset, data):
    names = ["train-images-idx3-ubyte", "t10k-images-idx3-ubyte", "cifar-10-python.tar.gz"]
    folder, path = file_with(data)
    with folder:
        for name in names:
            (path.parent / name).write_bytes(data)
        legal = isinstance(subset, str) and subset in ("train", "test")
        outcome(
            lambda: load(path.parent, subset=subset),
            [(str(path.parent),)] if legal else [("subset", repr(subset))],
        )
