"""Speed of the convolution kernels against the machine's FMA peak: a row per layer and direction.

    python benchmarks/kernels.py [--threads 1] [--rounds 15]

Every round times the peak and each layer in turn, so that a machine whose speed drifts moves both. The
share is the median over rounds of (speed / peak of the same round). Peak is one core's times the threads.
Operations are those of the direct way: through Winograd's transform a layer may pass 100 %.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from peak import Peak

from pyconvx._core.workspace import aligned_empty
from pyconvx._ext import LEVEL
from pyconvx.ops.conv_plan import ConvPlan
from pyconvx.ops.geometry import Window, WindowAxis, window

# N, H = W, C, OC, K, stride, padding, groups
LAYERS = {
    "stem 1->32, 28x28": (64, 28, 1, 32, 3, 1, 0, 1),
    "stem 3->32, 32x32 same": (64, 32, 3, 32, 3, 1, 1, 1),
    "stem 3->64 7x7 /2, 224x224": (4, 224, 3, 64, 7, 2, 3, 1),
    "32->64, 13x13": (64, 13, 32, 64, 3, 1, 0, 1),
    "32->32, 32x32 same": (16, 32, 32, 32, 3, 1, 1, 1),
    "64->64, 32x32 same": (16, 32, 64, 64, 3, 1, 1, 1),
    "64->64, 56x56 same": (4, 56, 64, 64, 3, 1, 1, 1),
    "128->128, 16x16 same": (16, 16, 128, 128, 3, 1, 1, 1),
    "256->256, 14x14 same": (4, 14, 256, 256, 3, 1, 1, 1),
    "256->256, 8x8 same": (16, 8, 256, 256, 3, 1, 1, 1),
    "512->512, 7x7 same": (4, 7, 512, 512, 3, 1, 1, 1),
    "64->128 /2, 32x32 same": (16, 32, 64, 128, 3, 2, 1, 1),
    "128->512 1x1, 28x28": (4, 28, 128, 512, 1, 1, 0, 1),
    "depthwise 128, 32x32 same": (16, 32, 128, 128, 3, 1, 1, 128),
}


def multiplications(taps: Window, channels: int) -> int:
    """Products of a sample and output channel; those with padding are not done, so not counted."""

    def count(axis: WindowAxis) -> int:
        starts = [position * axis.stride - axis.before for position in range(axis.positions)]
        return sum(0 <= start + tap < axis.size for start in starts for tap in range(axis.taps))

    rows = count(taps.rows)
    return rows * count(taps.columns) * channels


def cases(layer: tuple[int, ...], threads: int, dtype: str) -> tuple[float, dict[str, Callable[[], None]]]:
    """The operations of a layer and its three directions as calls without arguments."""
    N, H, C, OC, K, stride, padding, groups = layer
    rng = np.random.default_rng(0)
    taps = window("benchmark", (H, H), (K, K), stride=stride, padding=padding)
    plan = ConvPlan((N, H, H, C), OC, taps, groups, dtype, threads)
    x = rng.standard_normal((N, H, H, C)).astype(dtype)
    kernel = rng.standard_normal(plan.kernel_shape).astype(dtype)
    y = np.empty(plan.output_shape, dtype)
    dy = rng.standard_normal(y.shape).astype(dtype)
    dx, dkernel = np.empty_like(x), np.zeros_like(kernel)
    scratch = aligned_empty(max(plan.forward_scratch, plan.backward_scratch), dtype)
    return 2.0 * N * multiplications(taps, C // groups) * OC, {
        "forward": partial(plan.forward, x, kernel, None, y, None, None, None, scratch),
        "dx": partial(plan.backward, x, dy, kernel, None, dx, None, scratch),
        "dw": partial(plan.backward, x, dy, kernel, dkernel, None, None, scratch),
    }


def speed(call: Callable[[], None], flops: float, seconds: float = 0.02) -> float:
    """Return GFLOP/s over about `seconds`."""
    repeats = 0
    start = time.perf_counter()
    while True:
        call()
        repeats += 1
        if (spent := time.perf_counter() - start) > seconds:
            return flops * repeats / spent / 1e9


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--dtype", default="float32", choices=("float32", "float64"))
    parser.add_argument("--only", default="", help="layers whose name contains this")
    options = parser.parse_args()
    peak = Peak("float" if options.dtype == "float32" else "double")
    rows = []
    for name, layer in LAYERS.items():
        if options.only in name:
            flops, calls = cases(layer, options.threads, options.dtype)
            rows += [(name, direction, flops, call, [], []) for direction, call in calls.items()]
    for _, _, _, call, _, _ in rows:
        call()  # touches the memory
    peaks = []
    for _ in range(options.rounds):
        for _, _, flops, call, speeds, shares in rows:
            limit = peak.measure(300_000) * options.threads
            peaks.append(limit)
            speeds.append(speed(call, flops))
            shares.append(speeds[-1] / limit)
    print(f"level {LEVEL}, {options.dtype}, {options.threads} thread(s), {options.rounds} rounds;")
    print(f"FMA peak {statistics.median(peaks):.1f} GFLOP/s (median; best {max(peaks):.1f})\n")
    print("| layer | direction | GFLOP/s median (best) | share of peak |\n|---|---|---|---|")
    for name, direction, _, _, speeds, shares in rows:
        middle, share = statistics.median(speeds), statistics.median(shares)
        print(f"| {name} | {direction} | {middle:.1f} ({max(speeds):.1f}) | {share:.0%} |")


if __name__ == "__main__":
    main()
