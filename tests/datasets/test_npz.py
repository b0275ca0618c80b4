"""NumPy's archives: what was saved comes back, and damaged ones are named."""

import io
import zipfile

import numpy as np
import pytest

from pyconvx.datasets import load_npz


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_round_trip(save, tmp_path):
    arrays = {
        "X": np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
        "columns": np.asfortranarray(np.ones((3, 2))),
        "names": np.array(["cat", "dog"]),
        "swapped": np.arange(3, dtype=">i4"),
        "empty": np.zeros((0, 5)),
        "single": np.float32(3),
    }
    save(tmp_path / "file.npz", **arrays)
    found = load_npz(tmp_path / "file.npz")
    assert set(found) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
    assert found.X is found["X"]


def header(shape, dtype="|u1"):
    """Return the beginning of an array's file."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    return file.getvalue()


MEMBERS = {
    "petabytes": (header((1 << 40, 1 << 10)) + b"123", r"x declares shape \(1099511627776, 1024\) of uint8"),
    "a byte less": (header((4,)) + b"123", "4 bytes, and holds 3"),
    "a byte more": (header((2,)) + b"123", "2 bytes, and holds 3"),
    "no array": (b"hello", r"x\.npy is no array"),
    "code": (header((1,), "|O") + b"12345678", "x holds Python objects"),
}


@pytest.mark.parametrize("name", MEMBERS)
def test_members_that_are_refused(name, tmp_path):
    data, words = MEMBERS[name]
    with zipfile.ZipFile(tmp_path / "file.npz", "w") as archive:
        archive.writestr("x.npy", data)
    with pytest.raises(ValueError, match=words) as caught:
        load_npz(tmp_path / "file.npz")
    assert str(tmp_path / "file.npz") in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"PK", b"\x93NUMPY"])
def test_other_files(data, tmp_path):
    (tmp_path / "file.npz").write_bytes(data)
    with pytest.raises(ValueError, match=r"file\.npz cannot be read as \.npz"):
        load_npz(tmp_path / "file.npz")


def test_every_damaged_byte_is_noticed_or_harmless(tmp_path):
    array = np.arange(50)
    np.savez_compressed(tmp_path / "file.npz", x=array)
    whole = (tmp_path / "file.npz").read_bytes()
    refused = 0
    for i in range(len(whole)):
        (tmp_path / "file.npz").write_bytes(whole[:i] + bytes([whole[i] ^ 0x55]) + whole[i + 1 :])
        try:
            found = load_npz(tmp_path / "file.npz")
        except ValueError:
            refused += 1
            continue
        for each in found.values():
            np.testing.assert_array_equal(each, array)
    assert refused > len(whole) / 2
