"""Coverage-guided fuzzing of everything that reads files; needs the extra "fuzz" (atheris).

    python tests/fuzz/fuzz_files.py TARGET [SECONDS [RUNS]]

TARGET is `model`, `document`, `checkpoint` or `idx`. It starts from real small files. Every second model file and
checkpoint gets its checksum made right again, so that the checks after it have to hold; `document` starts after
all of them, and puts JSON into the place of a part of a real one. A file may be refused with the error that is
documented, may load, and nothing else; memory beyond the promise of docs/guide/model-files.md ends the run too.
"""

import atexit
import contextlib
import gzip
import json
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(
    include=["pyconvx.persistence", "pyconvx.estimators", "pyconvx.network", "pyconvx.datasets"]
):
    from mutated_files import small_model, with_right_checksum
    from small import fitted, images, quick

    import pyconvx
    from pyconvx import Checkpoint, CheckpointError, ModelFileError, PluginError
    from pyconvx.datasets import load_idx
    from pyconvx.persistence import pack, unpack

LONGEST = 1 << 16  # bytes of an input
MEGABYTES = 2048  # of the whole process
SECONDS = 20  # for one input
FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
PATH = FOLDER / "file"


def load(data):
    """A model file."""
    PATH.write_bytes(data)
    with contextlib.suppress(ModelFileError, PluginError):
        pyconvx.load(PATH)


def model(data):
    """Try the bytes as they are, and with a correct checksum."""
    load(data)
    load(with_right_checksum(data))


def document(data):
    """Try JSON in place of one part of the document, which the first byte chooses."""
    try:
        value = json.loads(data[1:].decode())
    except (ValueError, RecursionError):
        return
    parts, arrays = unpack(ORIGINAL, "original")
    holders = [parts, parts["parameters"], parts["attributes"], parts["training"], parts["network"]]
    holders.append(parts["network"]["layers"]["tuple"][0]["plugin"])
    places = [(holder, key) for holder in holders for key in holder]
    holder, key = places[data[0] % len(places)]
    holder[key] = value
    try:
        load(pack(parts, arrays))
    except ValueError as error:  # what is no JSON: NaN, or text that is no Unicode
        if "JSON" not in str(error) and not isinstance(error, UnicodeEncodeError):
            raise


def checkpoint(data):
    """Try to continue a fit from these bytes."""
    for each in (data, with_right_checksum(data)):
        PATH.write_bytes(each)
        try:
            fitted(*DATA, clf=quick(max_iter=1, checkpoint=Checkpoint(PATH), resume=True))
        except (ModelFileError, PluginError, CheckpointError):
            pass
        except ValueError as error:  # a checkpoint whose parameters are the fit's, but whose layers are not
            if "describe other layers" not in str(error) and "was fitted in" not in str(error):
                raise


def idx(data):
    """A file of MNIST's kind, compressed or not."""
    for each in (data, gzip.compress(data, 1)):
        PATH.write_bytes(each)
        try:
            load_idx(PATH)
        except ValueError as error:
            if str(PATH) not in str(error):
                raise


TARGETS = {"model": model, "document": document, "checkpoint": checkpoint, "idx": idx}
DATA = images(6, (3, 3, 1), 2)
ORIGINAL = small_model()


def corpus(target):
    """Real files to begin with."""
    if target == "document":
        parts = json.dumps(unpack(ORIGINAL, "original")[0])
        texts = [parts, "[]", "1e9", '"x"', "null", '{"tuple":[1,2]}', '{"array":"training.slots"}', "-1", "true"]
        return [bytes([i]) + text.encode() for i, text in enumerate(texts * 5)]
    if target == "checkpoint":
        fitted(*DATA, clf=quick(max_iter=1, checkpoint=Checkpoint(PATH)))
        return [PATH.read_bytes()]
    if target == "idx":
        return [
            b"\0\0\x08\x01\0\0\0\x03abc",
            b"\0\0\x08\x03" + b"\0\0\0\1" * 3 + b"x",
            gzip.compress(b"\0\0\x08\0x"),
        ]
    return [ORIGINAL]


def main():
    target, seconds, runs = (*sys.argv[1:], *("120", "-1")[len(sys.argv) - 2 :])
    warnings.simplefilter("error")
    seeds = FOLDER / "corpus"
    seeds.mkdir()
    for i, seed in enumerate(corpus(target)):
        (seeds / str(i)).write_bytes(seed)
    options = [f"-max_total_time={seconds}", f"-runs={runs}", f"-max_len={LONGEST}", f"-timeout={SECONDS}"]
    options += [
        f"-rss_limit_mb={MEGABYTES}",
        f"-artifact_prefix=fuzz-{target}-",
        "-print_final_stats=1",
        "-verbosity=0",
    ]
    atheris.Setup([sys.argv[0], *options, str(seeds)], TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
