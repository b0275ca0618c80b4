"""What all workers share: the data, the clock, and one line of JSON as the answer.

A worker is started as ``python worker.py <function> <options as JSON>`` in a fresh process. The options hold
`items`, pairs of what to measure and in which variant; the answer holds a figure for each, in that order.
"""

import gzip
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from networks import NETWORKS

Answer = dict[str, Any]


def answer(**functions: Callable[..., Answer]) -> None:
    """Call the function that the command line names, and print what it returns."""
    name, options = sys.argv[1:]
    print(json.dumps(functions[name](**json.loads(options))))


def rate(call: Callable[[], object], seconds: float) -> float:
    """Return calls per second over at least `seconds`, after a quarter of that to warm up."""
    _repeat(call, seconds / 4)
    repeats, spent = _repeat(call, seconds)
    return repeats / spent


def _repeat(call: Callable[[], object], seconds: float) -> tuple[int, float]:
    """Call at least once; return how often, and how long it took."""
    repeats, started = 0, time.perf_counter()
    while True:
        call()
        repeats += 1
        if (spent := time.perf_counter() - started) >= seconds:
            return repeats, spent


def peak_mb() -> float:
    """Return the most memory that this process has had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def random_images(network: str, n: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return noise between 0 and 1, (n, H, W, C), and labels 0 to 9."""
    rng = np.random.default_rng(0)
    return rng.random((n, *NETWORKS[network][1]), np.float32), rng.integers(0, 10, n)


def fashion(folder: str, part: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Read Fashion-MNIST as published: images (n, 28, 28, 1) and labels of "train" or "t10k"."""

    def values(name: str, header: int, size: int) -> npt.NDArray[np.uint8]:
        array = np.empty(n * size, np.uint8)
        with gzip.open(Path(folder, name)) as file:
            file.read(header)
            # a piece at a time: a copy of the whole would show up in the peak of memory
            for start in range(0, array.size, 1 << 20):
                piece = array[start : start + (1 << 20)]
                piece[:] = np.frombuffer(file.read(piece.size), np.uint8)
        return array

    n = {"train": 60_000, "t10k": 10_000}[part]
    images = values(f"{part}-images-idx3-ubyte.gz", 16, 784).reshape(-1, 28, 28, 1)
    return images, values(f"{part}-labels-idx1-ubyte.gz", 8, 1).astype(np.int64)


def timed_fit(fit: Callable[[], object], accuracy: Callable[[], float], images: int, start_mb: float) -> Answer:
    """Return images per second of one whole fit, peak memory, and the accuracy."""
    started = time.perf_counter()
    fit()
    speed = images / (time.perf_counter() - started)
    peak = peak_mb()
    return {"figures": [speed], "start_mb": start_mb, "peak_mb": peak, "score": float(accuracy())}


def timed_search(search: Any, images: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> Answer:
    """Return the seconds of a grid search, and the best score of its cross-validation."""
    started = time.perf_counter()
    search.fit(images, labels)
    return {"figures": [time.perf_counter() - started], "score": float(search.best_score_)}


def aligned_zeros(shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Return an array that begins at a cache line, like the arrays of a network on either side."""
    raw = np.zeros(4 * int(np.prod(shape)) + 64, np.uint8)
    skip = -int(raw.__array_interface__["data"][0]) % 64
    return raw[skip : skip + raw.size - 64].view(np.float32).reshape(shape)


def layer_arrays(sizes: str) -> tuple[tuple[int, ...], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return the eight sizes of a layer from their text, images (N, H, H, C) and filters (OC, ...)."""
    numbers = tuple(int(size) for size in sizes.split(","))
    N, H, C, OC, K, _, _, groups = numbers
    rng = np.random.default_rng(0)
    x = aligned_zeros((N, H, H, C))
    rng.standard_normal(dtype=np.float32, out=x)
    return numbers, x, rng.standard_normal((OC, K, K, C // groups), np.float32)
