"""Many Python threads that predict with one fitted classifier: images per second of all together.

    python benchmarks/concurrency.py [--seconds 1] [--rounds 5]

Each Python thread predicts batches of 32 images with ``n_jobs=1``. The rounds alternate between the numbers of
threads; the table shows medians, and the gain over one thread.
"""

import argparse
import statistics
import threading
import time
import warnings

import numpy as np

from pyconvx import CNNClassifier
from pyconvx._core.threads import available_cpus

THREADS = (1, 2, 4, 16)
BATCH = 32


def images_per_second(clf: CNNClassifier, X: np.ndarray, threads: int, seconds: float) -> float:
    """Return the images per second that all threads predict together."""
    end = time.perf_counter() + seconds
    counts = [0] * threads

    def ask(place: int) -> None:
        while time.perf_counter() < end:
            clf.predict_proba(X)
            counts[place] += len(X)

    workers = [threading.Thread(target=ask, args=(place,)) for place in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(counts) / seconds


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((256, 28, 28, 1)).astype(np.float32), np.arange(256) % 10
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        clf = CNNClassifier(filters=(32, 64), max_iter=1, random_state=0, n_jobs=1).fit(X, y)
    speeds: dict[int, list[float]] = {threads: [] for threads in THREADS}
    for _ in range(options.rounds):
        for threads in THREADS:
            speeds[threads].append(images_per_second(clf, X[:BATCH], threads, options.seconds))
    print(f"{available_cpus()} processors, batches of {BATCH}, 28x28")
    for threads, found in speeds.items():
        gain = statistics.median(a / b for a, b in zip(found, speeds[1], strict=True))
        print(f"{threads:3} threads  {statistics.median(found):10,.0f} images/s  {gain:5.2f}x")


if __name__ == "__main__":
    main()
