"""The bytes of a model file: a JSON document and named arrays, in the layout of safetensors.

    8 bytes    n, the length of the header, little-endian
    n bytes    the header, JSON, with spaces up to a multiple of 8
    the rest   the arrays, little-endian, in C order, one after the other

The header maps names to ``{"dtype": "F32", "shape": [3, 3], "data_offsets": [0, 36]}``, so that any reader of
safetensors finds the arrays (https://github.com/huggingface/safetensors). ``"__metadata__"`` is a table of
strings: first ``sha256``, the hash of all bytes of the file with zeros in place of the hash; then ``format``,
``version``, and ``document``, which is JSON. Lengths and offsets are checked before they are used.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np

from pyconvx._core.types import Array
from pyconvx.exceptions import ModelFileError

FORMAT_VERSION = 1
LARGEST_HEADER = 1 << 24  # bytes
_MOST_AXES = 32

_START = b'{"__metadata__":{"sha256":"'
_DIGEST = slice(8 + len(_START), 8 + len(_START) + 64)  # its place in the file
_ZEROS = b"0" * 64

_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip
_NAMES = {np.dtype(text): name for name, text in _DTYPES.items()}


def pack(document: Any, arrays: Mapping[str, Array]) -> bytes:
    """Return the bytes of a file.

    Parameters
    ----------
    document : JSON value
        Finite numbers only.
    arrays : mapping of str to array
        Numbers of up to 64 bits, or bools.
    """
    # the widest first, so that each begins at a multiple of its item's size
    wide_first = sorted(arrays, key=lambda name: -arrays[name].itemsize)
    entries: dict[str, Any] = {}
    pieces: list[bytes] = []
    offset = 0
    for name in wide_first:
        little = arrays[name].astype(arrays[name].dtype.newbyteorder("<"), order="C", copy=False)
        end = offset + little.nbytes
        kind = _NAMES[little.dtype]
        entries[name] = {"dtype": kind, "shape": list(little.shape), "data_offsets": [offset, end]}
        pieces.append(little.tobytes())
        offset = end
    metadata = {
        "sha256": _ZEROS.decode(),
        "format": "pyconvx",
        "version": str(FORMAT_VERSION),
        "document": _as_json(document),
    }
    header = _as_json({"__metadata__": metadata} | entries).encode()
    header += b" " * (-len(header) % 8)
    if len(header) > LARGEST_HEADER:
        raise ValueError(f"the header of a model file may have {LARGEST_HEADER:,} bytes, not {len(header):,}")
    data = bytearray(b"".join([len(header).to_bytes(8, "little"), header, *pieces]))
    data[_DIGEST] = hashlib.sha256(data).hexdigest().encode()
    return bytes(data)


def unpack(data: bytes, where: str) -> tuple[Any, dict[str, Array]]:
    """Return the document and the arrays of a file; the arrays are read-only views of its bytes.

    Raises
    ------
    ModelFileError
        For bytes that `pack` did not make, with `where`, the name of the file.
    """

    def refuse(why: str) -> NoReturn:
        raise ModelFileError(f"{where}: {why}")

    if len(data) < _DIGEST.stop:
        refuse(_foreign(data) or f"truncated (need at least {_DIGEST.stop} bytes, have {len(data)})")
    length = int.from_bytes(data[:8], "little")
    if data[8 : _DIGEST.start] != _START:
        refuse(_foreign(data) or "not a model file of pyconvx")
    if length > LARGEST_HEADER:
        refuse(f"its header claims {length:,} bytes, at most {LARGEST_HEADER:,} are read")
    if length > len(data) - 8:
        refuse(f"truncated (need {8 + length:,} bytes, have {len(data):,})")
    try:
        header = _from_json(data[8 : 8 + length])
        entries = _checked_entries(header)
    except ValueError as error:
        refuse(str(error))
    metadata = entries.pop("__metadata__")
    needed = 8 + length + max((entry["data_offsets"][1] for entry in entries.values()), default=0)
    if needed != len(data):
        refuse(f"{'truncated' if needed > len(data) else 'too long'} (need {needed:,} bytes, have {len(data):,})")
    if metadata["version"] != str(FORMAT_VERSION):
        refuse(
            f"written in format {metadata['version'][:20]}, this pyconvx reads format {FORMAT_VERSION}: "
            "install the version that wrote it, or a newer one"
        )
    if data[_DIGEST].decode("ascii", "replace") != _digest(data):
        refuse("its checksum does not match: the file is damaged")
    try:
        document = _from_json(metadata["document"].encode())
    except ValueError as error:
        refuse(f"document: {error}")
    return document, {name: _array(data, 8 + length, entry) for name, entry in entries.items()}


def _digest(data: bytes) -> str:
    """Return the hash of all bytes, with zeros in place of the hash."""
    view = memoryview(data)
    digest = hashlib.sha256(view[: _DIGEST.start])
    digest.update(_ZEROS)
    digest.update(view[_DIGEST.stop :])
    return digest.hexdigest()


def _foreign(data: bytes) -> str:
    """Return what the bytes are instead of a model file, or an empty string if that is unknown."""
    if not data:
        return "the file is empty"
    for start, what in ((b"\x80", "a pickle"), (b"PK", "a zip archive"), (b"\x93NUMPY", "an array of NumPy")):
        if data.startswith(start):
            return f"not a model file of pyconvx (it looks like {what}, which is not read)"
    return ""


def _checked_entries(header: Any) -> dict[str, Any]:
    """Return the header if every entry is complete and the arrays follow one another; else ValueError."""
    if not isinstance(header, dict) or not isinstance(header.get("__metadata__"), dict):
        raise ValueError("its header holds no metadata")
    metadata = header["__metadata__"]
    known = {"sha256", "format", "version", "document"}
    if set(metadata) != known or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError(f"its metadata must be the strings {', '.join(sorted(known))}")
    end = 0
    entries = [(name, entry) for name, entry in header.items() if name != "__metadata__"]
    for name, entry in entries:
        if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
            raise ValueError(f"array {name[:80]!r}: expected dtype, shape and data_offsets")
        kind, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        if not isinstance(kind, str) or kind not in _DTYPES:
            raise ValueError(f"array {name[:80]!r}: unknown dtype {str(kind)[:20]!r}")
        if not (_are_sizes(shape) and len(shape) <= _MOST_AXES and _are_sizes(offsets) and len(offsets) == 2):
            raise ValueError(f"array {name[:80]!r}: shape and data_offsets must be lists of sizes")
        itemsize = np.dtype(_DTYPES[kind]).itemsize
        size = math.prod(shape) * itemsize
        if offsets != [end, end + size]:
            raise ValueError(f"array {name[:80]!r}: {size} bytes expected from {end} on, not {offsets}")
        if math.prod(max(length, 1) for length in shape) * itemsize >= 1 << 62:
            # NumPy makes no such array, even if a length of 0 leaves it without numbers
            raise ValueError(f"array {name[:80]!r}: no memory holds its shape")
        end += size
    return dict(header)


def _are_sizes(values: Any) -> bool:
    """Return whether a value is a list of lengths that an array may have."""
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 1 << 62 for value in values)


def _array(data: bytes, start: int, entry: Any) -> Array:
    """Return the array of a checked entry, as a view of the file's bytes."""
    kind = np.dtype(_DTYPES[entry["dtype"]])
    flat = np.frombuffer(data, kind, math.prod(entry["shape"]), start + entry["data_offsets"][0])
    return flat.reshape(entry["shape"])


def _as_json(value: Any) -> str:
    """Return compact JSON; ValueError for a number that is not finite."""
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def _from_json(text: bytes) -> Any:
    """Return a JSON value; ValueError for damaged text, infinite numbers, and keys that occur twice."""
    try:
        return json.loads(
            text.decode(), object_pairs_hook=_distinct, parse_constant=_no_constant, parse_float=_finite
        )
    except RecursionError:
        raise ValueError("its JSON is nested too deeply") from None
    except ValueError as error:  # also what is not JSON, or not UTF-8
        raise ValueError(f"its JSON is damaged: {error}") from None


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; ValueError if a key occurs twice."""
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a key stands twice")
    return table


def _no_constant(text: str) -> NoReturn:
    """Reject NaN and Infinity, which are no JSON although Python reads them."""
    raise ValueError(f"{text} is no number")


def _finite(text: str) -> float:
    """Return the number of a text; ValueError if it is too large for a float."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is too large")
    return value
