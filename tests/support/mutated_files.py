"""Damaged model files; run as a script it loads many and prints what came of them.

    python tests/support/mutated_files.py FILES

Every second file gets its checksum made right again, so that the checks after it have to hold. A file whose
checksum is wrong may never load; no file may raise anything but ModelFileError or PluginError, or take long.
"""

import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from small import fitted, images, quick

import pyconvx
from pyconvx import ModelFileError, PluginError
from pyconvx.persistence import container

PIECES = (b"0", b"9", b"-", b'"', b"[", b"{", b"null", b"1e9", b"[[" * 500)


def small_model():
    """Return the bytes of a model file of a few kilobytes."""
    clf = fitted(*images(), clf=quick(filters=(1,), hidden_layer_sizes=(), kernel_size=1, max_iter=1))
    with tempfile.TemporaryDirectory() as folder:
        clf.save(Path(folder, "clf"))
        return Path(folder, "clf").read_bytes()


def mutated(original, chance):
    """Return the bytes with flipped bits, parts cut off, moved or inserted, or another length of the header."""
    data = bytearray(original)
    for _ in range(chance.choice((1, 1, 2, 8))):
        how, place = chance.randrange(6), chance.randrange(len(data))
        if how == 0:
            data[place] ^= 1 << chance.randrange(8)
        elif how == 1:
            data[place:] = b"\0"
        elif how == 2:
            data[place:place] = bytes(chance.randrange(1, 50))
        elif how == 3:
            data[:8] = chance.getrandbits(chance.choice((8, 12, 16, 64))).to_bytes(8, "little")
        elif how == 4:
            start = chance.randrange(len(data))
            data[place : place + 8], data[start : start + 8] = data[start : start + 8], data[place : place + 8]
        else:
            data[place : place + 1] = chance.choice(PIECES)
    return bytes(data)


def with_right_checksum(data):
    """Return the same bytes with their correct checksum."""
    if len(data) < container._DIGEST.stop:
        return data
    whole = bytearray(data)
    whole[container._DIGEST] = container._digest(data).encode()
    return bytes(whole)


def main(files):
    original, chance = small_model(), random.Random(0)
    outcomes, slowest = Counter(), 0.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "clf")
        for i in range(files):
            data = mutated(original, chance)
            if i % 2:
                data = with_right_checksum(data)
            path.write_bytes(data)
            started = time.perf_counter()
            try:
                pyconvx.load(path)
                outcome = "as it was" if data == original else "loaded"
            except (ModelFileError, PluginError) as error:
                outcome = type(error).__name__
            slowest = max(slowest, time.perf_counter() - started)
            checksum = "right" if i % 2 else "wrong"
            outcomes[f"checksum {checksum}: {outcome}"] += 1
    assert "checksum wrong: loaded" not in outcomes
    assert slowest < 0.5
    print(dict(outcomes), f"slowest {1e3 * slowest:.0f} ms")


if __name__ == "__main__":
    main(int(sys.argv[1]))
