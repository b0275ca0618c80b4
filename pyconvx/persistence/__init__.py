"""Model files: values and arrays in, values and arrays out; no code, no pickle.

container    the bytes of a file: a JSON document and named arrays, with a checksum over everything
values       Python values as JSON: numbers, sequences, arrays, plugins by their names
atomic       files that are replaced as a whole or not at all

Nothing here knows of estimators: what they write into a file is up to them.
"""

from pyconvx.persistence.atomic import StrPath, permissions_of, read_file, write_file
from pyconvx.persistence.container import FORMAT_VERSION, pack, unpack
from pyconvx.persistence.values import Reader, Writer

__all__ = [
    "FORMAT_VERSION",
    "Reader",
    "StrPath",
    "Writer",
    "pack",
    "permissions_of",
    "read_file",
    "unpack",
    "write_file",
]
