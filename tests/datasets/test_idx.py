"""IDX files: every type of number, compressed or not, and all that may be wrong with them."""

import gzip

import numpy as np
import pytest

from pyconvx.datasets import load_idx

HEAD = b"\0\0\x08\x02\0\0\0\2\0\0\0\3"
CODES = {"u1": 8, "i1": 9, ">i2": 11, ">i4": 12, ">f4": 13, ">f8": 14}


def idx(array):
    """Return an array as the bytes of a file."""
    sizes = np.array(array.shape, ">u4").tobytes()
    return bytes([0, 0, CODES[array.dtype.str.lstrip("|")], array.ndim]) + sizes + array.tobytes()


@pytest.mark.parametrize("dtype", CODES)
@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 3, 4), (1, 2, 1, 3), (0, 5)])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_all_types(dtype, shape, pack, tmp_path):
    array = np.random.default_rng(0).integers(-100, 100, shape).astype(dtype)
    (tmp_path / "file").write_bytes(pack(idx(array)))
    found = load_idx(tmp_path / "file")
    np.testing.assert_array_equal(found, array)
    assert found.dtype == array.dtype.newbyteorder("=")
    assert found.dtype.isnative
    assert found.flags.writeable


DAMAGED = {
    "empty": (b"", r"no IDX file: it begins with the bytes \[\]"),
    "a header alone": (HEAD, r"shape \(2, 3\) of uint8, 6 bytes, and holds 0 bytes"),
    "another kind of file": (b"\x89PNG", r"no IDX file: it begins with the bytes \[137, 80, 78, 71\]"),
    "nothing compressed": (gzip.compress(b""), "no IDX file"),
    "a byte less": (HEAD + b"12345", "holds 5 bytes"),
    "a byte more": (gzip.compress(HEAD + b"1234567"), "holds more than 6 bytes"),
    "a cut archive": (gzip.compress(HEAD + b"123456")[:-3], "no whole gzip file"),
    "a damaged archive": (gzip.compress(HEAD + b"123456")[:-6] + b"123456", "no whole gzip file"),
    "255 axes": (gzip.compress(b"\0\0\x08\xff" + b"\1" * 2000), "declares 255 axes"),
    "no axes": (b"\0\0\x08\0x", "declares 0 axes"),
    "cut sizes": (gzip.compress(HEAD[:7]), "within the sizes of its 2 axes, after 7 bytes"),
    "petabytes": (gzip.compress(b"\0\0\x08\x03" + b"\xff" * 12), "declares shape"),
    "an empty giant": (b"\0\0\x08\x08" + b"\xff" * 28 + b"\0" * 4, "declares shape"),
    "an unknown type": (gzip.compress(b"\0\0\x0a" + HEAD[3:] + b"123456"), "no IDX file"),
    "floats cut short": (b"\0\0\x0d" + HEAD[3:] + b"123456", r"of float32, 24 bytes, and holds 6"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_files(name, tmp_path):
    data, words = DAMAGED[name]
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(ValueError, match=words) as caught:
        load_idx(tmp_path / "file")
    assert str(tmp_path / "file") in str(caught.value)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_idx(tmp_path / "nowhere")
