"""Fashion-MNIST and CIFAR-10 in small: from folders, and downloaded from a server on this machine."""

import functools
import gzip
import hashlib
import http.server
import io
import logging
import os
import pickle
import pickletools
import tarfile
import threading

import numpy as np
import pytest

from pyconvx.datasets import load_cifar10, load_fashion_mnist, published

RNG = np.random.default_rng(0)


def idx(array):
    """Return an array of bytes as an IDX file."""
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


@pytest.fixture
def fashion(tmp_path):
    """A folder with four small files."""
    arrays = {}
    for part, n in (("train", 5), ("t10k", 3)):
        arrays[part] = RNG.integers(0, 256, (n, 28, 28), np.uint8), RNG.integers(0, 10, n, np.uint8)
        for name, array in zip(("images-idx3", "labels-idx1"), arrays[part], strict=True):
            (tmp_path / f"{part}-{name}-ubyte.gz").write_bytes(gzip.compress(idx(array)))
    return tmp_path, arrays


def check_fashion(arrays, path=None):
    for subset, part in (("train", "train"), ("test", "t10k")):
        data = load_fashion_mnist(path, subset=subset)
        np.testing.assert_array_equal(data.images, arrays[part][0])
        np.testing.assert_array_equal(data.target, arrays[part][1])
        assert len(data.target_names) == 10


def test_fashion_mnist_from_a_folder(fashion):
    folder, arrays = fashion
    check_fashion(arrays, folder)
    for file in folder.iterdir():
        file.with_suffix("").write_bytes(gzip.decompress(file.read_bytes()))
        file.unlink()
    check_fashion(arrays, str(folder))
    (folder / "t10k-labels-idx1-ubyte").write_bytes(idx(np.zeros(4, np.uint8)))
    with pytest.raises(ValueError, match=r"t10k: images of shape \(3, 28, 28\), labels of shape \(4,\)"):
        load_fashion_mnist(folder, subset="test")
    with pytest.raises(FileNotFoundError, match=r"train-images-idx3-ubyte\.gz"):
        load_fashion_mnist(folder / "nowhere")


_AS_PYTHON_2 = {"SHORT_BINBYTES": ord("U"), "BINBYTES": ord("T")}  # whose text was bytes


def batch(n, **changes):
    """Return a file of CIFAR-10, as Python 2 pickled it, with its images and labels."""
    images, labels = RNG.integers(0, 256, (n, 32, 32, 3), np.uint8), RNG.integers(0, 10, n).tolist()
    rows = np.ascontiguousarray(np.moveaxis(images, 3, 1)).reshape(n, 3072)
    content = {b"batch_label": b"x", b"labels": labels, b"data": rows, b"filenames": [b"f"] * n} | changes
    data = pickle.dumps(content, protocol=3).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    data = bytearray(data)
    for code, _, place in list(pickletools.genops(bytes(data))):
        if code.name in _AS_PYTHON_2:
            data[place] = _AS_PYTHON_2[code.name]
    data[1] = 2
    return bytes(data), images, labels


NAMES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")


@pytest.fixture
def cifar(tmp_path):
    """A folder with the batches, and one with the archive."""
    folder = tmp_path / "files" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    (tmp_path / "archive").mkdir()
    batches = [batch(i + 1) for i in range(6)]
    with tarfile.open(tmp_path / "archive" / "cifar-10-python.tar.gz", "w:gz") as archive:
        for name, (data, _, _) in zip(NAMES, batches, strict=True):
            (folder / name).write_bytes(data)
            archive.add(folder / name, f"cifar-10-batches-py/{name}")
    return tmp_path, batches


def check_cifar(batches, path=None):
    for subset, part in (("train", batches[:5]), ("test", batches[5:])):
        data = load_cifar10(path, subset=subset)
        np.testing.assert_array_equal(data.images, np.concatenate([images for _, images, _ in part]))
        assert data.target.tolist() == [label for _, _, labels in part for label in labels]
        assert data.images.flags.c_contiguous
        assert data.target_names[3] == "cat"


def test_cifar10_from_a_folder(cifar):
    root, batches = cifar
    for path in (root / "files", root / "files" / "cifar-10-batches-py", root / "archive"):
        check_cifar(batches, path)
    with pytest.raises(FileNotFoundError, match=r"cifar-10-python\.tar\.gz"):
        load_cifar10(root)


class Harm:
    """An object whose pickle runs code."""

    def __reduce__(self):
        return os.mkdir, ("harm",)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (pickle.dumps({b"data": Harm()}), "asks for posix.mkdir"),
        (b"no pickle", "no file of CIFAR-10"),
        (batch(2)[0][:-40], "no file of CIFAR-10"),
        (batch(2, **{"x": 1})[0].replace(b"labels", b"lebals"), "no file of CIFAR-10"),
        (pickle.dumps({b"data": np.zeros((2, 3), np.uint8), b"labels": [1, 2]}), r"uint8 of shape \(2, 3\) and 2"),
        (pickle.dumps({b"data": np.zeros((2, 3072)), b"labels": [1, 2]}), r"float64 of shape \(2, 3072\)"),
        (pickle.dumps([1]), "no file of CIFAR-10"),
    ],
)
def test_damaged_batches(data, words, cifar, monkeypatch):
    root, _ = cifar
    monkeypatch.chdir(root)
    (root / "files" / "cifar-10-batches-py" / "test_batch").write_bytes(data)
    with pytest.raises(ValueError, match=f"test_batch.*{words}"):
        load_cifar10(root / "files", subset="test")
    assert not (root / "harm").exists()


def test_damaged_archives(cifar):
    root, _ = cifar
    path = root / "archive" / "cifar-10-python.tar.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="is no whole archive"):
        load_cifar10(root / "archive")
    path.write_bytes(b"no archive")
    with pytest.raises(ValueError, match="is no whole archive"):
        load_cifar10(root / "archive")
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("cifar-10-batches-py/data_batch_1"), io.BytesIO())
    with pytest.raises(ValueError, match="has no data_batch_2, data_batch_3, data_batch_4, data_batch_5"):
        load_cifar10(root / "archive")


@pytest.mark.parametrize("load", [load_fashion_mnist, load_cifar10])
@pytest.mark.parametrize("subset", ["all", None, 1])
def test_unknown_subsets(load, subset):
    with pytest.raises(ValueError, match="subset must be train or test, got"):
        load(subset=subset)


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A server that remembers what it was asked for, and prints nothing."""

    def log_message(self, *arguments):
        self.server.asked.append(self.path)


@pytest.fixture
def serve():
    """Return a function that serves a folder on this machine."""
    servers = []

    def start(folder):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
        server.asked = []
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}/", server.asked

    yield start
    for server, thread in servers:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty folder for pooch, which prints nothing, and no proxy."""
    pooch = pytest.importorskip("pooch")
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield tmp_path / "cache"
    logger.setLevel(level)


def md5(path):
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def test_downloads_of_fashion_mnist(fashion, serve, cache, monkeypatch):
    folder, arrays = fashion
    url, asked = serve(folder)
    monkeypatch.setattr(published, "FASHION_URL", url)
    with pytest.raises(ValueError, match=r"hash"):  # these are not the files that were published
        load_fashion_mnist()
    assert list(cache.rglob("*ubyte*")) == []
    monkeypatch.setattr(published, "FASHION_MD5", {file.name: md5(file) for file in folder.glob("*.gz")})
    del asked[:]
    check_fashion(arrays)
    assert len(asked) == 4
    check_fashion(arrays)
    assert len(asked) == 4  # nothing is downloaded twice


def test_downloads_of_cifar10(cifar, serve, cache, monkeypatch):
    root, batches = cifar
    url, asked = serve(root / "archive")
    monkeypatch.setattr(published, "CIFAR_URL", url)
    name = "cifar-10-python.tar.gz"
    monkeypatch.setattr(published, "CIFAR_MD5", {name: md5(root / "archive" / name)})
    check_cifar(batches)
    assert len(asked) == 1
