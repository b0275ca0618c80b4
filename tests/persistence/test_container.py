"""The bytes of a model file: the exact layout, and both sides of every limit."""

import hashlib
import itertools
import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pyconvx import ModelFileError
from pyconvx.persistence import container, pack, read_file, unpack, write_file

ARRAYS = {
    "bytes": np.arange(3, dtype=np.uint8), "wide": np.array([[1.5, -2.0]]), "none": np.empty((0, 3), np.float32),
    "single": np.array(7, np.float32), "big-endian": np.array([1, 2], ">i4"), "strided": np.arange(6.0)[::2],
}  # fmt: skip


def test_the_layout_to_the_byte():
    data = pack({"a": [1, None, "é"]}, ARRAYS)
    length = int.from_bytes(data[:8], "little")
    assert length % 8 == 0
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__")
    assert metadata == {
        "sha256": metadata["sha256"], "format": "pyconvx", "version": "1", "document": '{"a":[1,null,"\\u00e9"]}',
    }  # fmt: skip
    assert data[8:].startswith(b'{"__metadata__":{"sha256":"' + metadata["sha256"].encode())
    blank = data.replace(metadata["sha256"].encode(), b"0" * 64)
    assert hashlib.sha256(blank).hexdigest() == metadata["sha256"]
    kinds = {"bytes": "U8", "wide": "F64", "none": "F32", "single": "F32", "big-endian": "I32", "strided": "F64"}
    assert {name: entry["dtype"] for name, entry in header.items()} == kinds
    assert {name: tuple(entry["shape"]) for name, entry in header.items()} == {
        n: a.shape for n, a in ARRAYS.items()
    }
    # the widest first, without gaps
    assert list(header) == ["wide", "strided", "none", "single", "big-endian", "bytes"]
    ends = [0, 16, 40, 40, 44, 52, 55]
    assert [entry["data_offsets"] for entry in header.values()] == list(map(list, itertools.pairwise(ends)))
    assert len(data) == 8 + length + 55
    assert data[8 + length :][44:52] == np.array([1, 2], "<i4").tobytes()
    assert data[8 + length :][16:40] == np.arange(0.0, 6.0, 2).tobytes()


def test_all_comes_back():
    document, arrays = unpack(pack([1, {"b": 0.1}], ARRAYS), "file")
    assert document == [1, {"b": 0.1}]
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert (arrays[name].dtype, arrays[name].shape) == (array.dtype.newbyteorder("="), array.shape)
        assert not arrays[name].flags.writeable
        assert arrays[name].flags.aligned or len(pack([], {})) % 8
    assert unpack(pack(None, {}), "file") == (None, {})


@pytest.mark.parametrize("document", [float("nan"), [float("inf")]])
def test_numbers_without_end_are_not_written(document):
    with pytest.raises(ValueError, match="JSON compliant"):
        pack(document, {})


def test_the_longest_header(monkeypatch):
    shortest = len(pack("", {})) - 8
    monkeypatch.setattr(container, "LARGEST_HEADER", shortest)
    data = pack("", {})
    assert unpack(data, "file") == ("", {})
    with pytest.raises(
        ValueError, match=f"the header of a model file may have {shortest} bytes, not {shortest + 8}"
    ):
        pack("x" * 8, {})
    monkeypatch.setattr(container, "LARGEST_HEADER", shortest - 1)
    with pytest.raises(
        ModelFileError, match=f"^file: its header claims {shortest} bytes, at most {shortest - 1} are"
    ):
        unpack(data, "file")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "^file: the file is empty"),
        (b"\x80\x04abc", r"^file: not a model file of pyconvx \(it looks like a pickle, which is not read\)"),
        (b"\x80" + 200 * b"a", r"^file: not a model file of pyconvx \(it looks like a pickle"),
        (b"PK\x03\x04", "it looks like a zip archive"),
        (b"\x93NUMPY\x01", "it looks like an array of NumPy"),
        (b"P" * 98, "^file: truncated .need at least 99 bytes, have 98"),
        (b"P" * 99, "^file: not a model file of pyconvx$"),
    ],
)
def test_what_is_no_model_file(data, words):
    with pytest.raises(ModelFileError, match=words):
        unpack(data, "file")


def test_files_of_another_length():
    data = pack("", {"a": np.zeros(2)})
    length = int.from_bytes(data[:8], "little")
    cases = {
        data[:-1]: rf"truncated \(need {len(data):,} bytes, have {len(data) - 1:,}\)",
        data + b"x": rf"too long \(need {len(data):,} bytes, have {len(data) + 1:,}\)",
        data[: length + 7]: rf"truncated \(need {length + 8:,} bytes, have {length + 7:,}\)",
        data[: length + 8]: rf"truncated \(need {len(data):,} bytes, have {length + 8:,}\)",
    }
    for changed, words in cases.items():
        with pytest.raises(ModelFileError, match=f"^file: {words}"):
            unpack(changed, "file")


def test_a_byte_of_the_checksum_that_is_no_text():
    data = bytearray(pack("", {}))
    data[40] = 0xFF
    with pytest.raises(ModelFileError, match=r"^file: its JSON is damaged|its checksum does not match"):
        unpack(bytes(data), "file")


def test_a_number_that_was_changed():
    data = bytearray(pack("", {"x": np.ones(3)}))
    data[-1] ^= 1
    with pytest.raises(ModelFileError, match=r"^file: its checksum does not match: the file is damaged$"):
        unpack(bytes(data), "file")


SIZES = [0, (1 << 62) - 1]


def test_sizes():
    assert container._are_sizes(SIZES)
    assert container._are_sizes([])
    for value in ([-1], [1 << 62], [True], [1.0], (1,), "1", None):
        assert not container._are_sizes(value)


@pytest.mark.parametrize("axes", [32, 33])
def test_the_most_axes(axes):
    entry = {"dtype": "I8", "shape": [1] * axes, "data_offsets": [0, 1]}
    metadata = {"sha256": "", "format": "", "version": "1", "document": ""}
    if axes == 32:
        assert container._checked_entries({"__metadata__": metadata, "a": entry})["a"] == entry
    else:
        with pytest.raises(ValueError, match="must be lists of sizes"):
            container._checked_entries({"__metadata__": metadata, "a": entry})


def test_long_names_are_cut():
    metadata = {"sha256": "", "format": "", "version": "1", "document": ""}
    entry = {"dtype": "U" * 50, "shape": [1], "data_offsets": [0, 1]}
    with pytest.raises(ValueError, match=f"^array '{'n' * 80}': unknown dtype '{'U' * 20}'$"):
        container._checked_entries({"__metadata__": metadata, "n" * 90: entry})


def test_reading_and_writing(tmp_path):
    path = tmp_path / "file"
    for data in (b"", b"one", bytes(range(256)) * 5000):
        write_file(path, data)
        assert read_file(path) == read_file(str(path)) == data
        assert os.listdir(tmp_path) == ["file"]
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        write_file(path, b"x")
        read_file(path)
        with pytest.raises(OSError, match="is no regular file"):
            read_file(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before  # every file is closed


def test_a_write_that_fails_leaves_nothing(tmp_path):
    path = tmp_path / "file"
    write_file(path, b"old")
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(TypeError):
        write_file(path, "text")
    assert os.listdir(tmp_path) == ["file"]
    assert path.read_bytes() == b"old"
    assert len(os.listdir("/proc/self/fd")) == before
    os.symlink(path, tmp_path / "link")
    with pytest.raises(OSError, match=r"'.*link' is a symbolic link: give the path of a file"):
        write_file(tmp_path / "link", b"new")
    with pytest.raises(OSError, match="is no regular file: give the path of a file"):
        write_file(tmp_path, b"new")


@pytest.mark.parametrize("most", [1, 7])
def test_writes_that_take_only_a_part(most, tmp_path, monkeypatch):
    write, data = os.write, bytes(range(256)) * 3
    monkeypatch.setattr(os, "write", lambda descriptor, rest: write(descriptor, rest[:most]))
    write_file(tmp_path / "file", data)
    assert read_file(tmp_path / "file") == data


def test_a_name_that_somebody_has_planted(tmp_path, monkeypatch):
    """A link with the name of the temporary file is neither written through nor removed."""
    monkeypatch.setattr("secrets.token_hex", lambda n: "00")
    (tmp_path / "precious").write_bytes(b"precious")
    planted = tmp_path / f".file.{os.uname().nodename}.{os.getpid()}.00.tmp"
    planted.symlink_to(tmp_path / "precious")
    with pytest.raises(FileExistsError):
        write_file(tmp_path / "file", b"new")
    assert (tmp_path / "precious").read_bytes() == b"precious"
    assert planted.is_symlink()
    assert not (tmp_path / "file").exists()


def test_writers_in_threads(tmp_path):
    """The file is always complete and written by one of them."""
    path, sizes = tmp_path / "file", (10, 1000, 100_000, 1_000_000)
    write_file(path, b"\0" * sizes[0])

    def write(kind):
        for _ in range(50):
            write_file(path, bytes([kind]) * sizes[kind])

    with ThreadPoolExecutor(len(sizes)) as pool:
        running = [pool.submit(write, kind) for kind in range(len(sizes))]
        while not all(task.done() for task in running):
            data = read_file(path)
            assert data == data[:1] * sizes[data[0]]
        assert [task.result() for task in running] == [None] * len(sizes)
    assert os.listdir(tmp_path) == ["file"]


def test_modes_and_leftovers(tmp_path):
    """New files follow the umask, others keep their mode; the leftovers of a killed process are removed."""
    path = tmp_path / "clf"
    before = os.umask(0o027)
    try:
        write_file(path, b"one")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    before = os.umask(0)
    try:
        write_file(tmp_path / "open", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "open").stat().st_mode) == 0o666
    (tmp_path / "open").unlink()
    path.chmod(0o600)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    host = os.uname().nodename
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as writer:
        dead, *others = (tmp_path / name for name in (
            f".clf.{host}.{gone.pid}.00.tmp", f".clf.{host}.{writer.pid}.00.tmp", f".clf.{host}.{10**30}.00.tmp",
            f".clf.elsewhere.{gone.pid}.00.tmp", f".clf.{host}.{gone.pid}.00", f".clf2.{host}.{gone.pid}.00.tmp",
            f".clf.{host}.x{gone.pid}.00.tmp",
        ))  # fmt: skip
        for leftover in (dead, *others):
            leftover.write_bytes(b"x")
        write_file(path, b"two")
        assert writer.poll() is None
        writer.communicate(b"\n")
        assert writer.returncode == 0
    assert path.read_bytes() == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not dead.exists()
    assert all(leftover.exists() for leftover in others)
    assert len(os.listdir(tmp_path)) == 1 + len(others)
