"""Model files: values and arrays in, values and arrays out; no code, no pickle.

container    bytes: a JSON document and named arrays, with a checksum over everything
values       Python values as JSON: numbers, sequences, arrays, plugins by their names
atomic       a file is replaced as a whole or not at all

It knows nothing of estimators; what they keep in a file is their matter.
"""

from pyconvx.persistence.atomic import StrPath, read_file, write_file
from pyconvx.persistence.container import FORMAT_VERSION, pack, unpack
from pyconvx.persistence.values import Reader, Writer

__all__ = ["FORMAT_VERSION", "Reader", "StrPath", "Writer", "pack", "read_file", "unpack", "write_file"]
