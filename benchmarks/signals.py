"""Conv1D beside Conv2D on the same data with one row: seconds of a training pass, and their ratio.

    python benchmarks/signals.py [--threads 1] [--rounds 31]

Both layers run in turn in every round; the ratio is the median over rounds.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

from pyconvx._core.workspace import Workspace
from pyconvx.layers import Context, Conv1D, Conv2D, Program

# N, L, C, OC, K, stride, dilation
LAYERS = {
    "1->16, 128, K 7": (64, 128, 1, 16, 7, 1, 1),
    "16->32, 128, K 5": (64, 128, 16, 32, 5, 1, 1),
    "64->64, 512, K 3": (16, 512, 64, 64, 3, 1, 1),
    "64->128 /2, 512, K 3": (16, 512, 64, 128, 3, 2, 1),
    "64->64, 512, K 3, dilation 4": (16, 512, 64, 64, 3, 1, 4),
    "8->8, 32, K 3": (8, 32, 8, 8, 3, 1, 1),
}


def training_pass(layer: Conv1D | Conv2D, x: np.ndarray, threads: int) -> Callable[[], None]:
    """Record forward and backward through a layer, as training does; return what replays them."""
    specs = layer.parameters(x.shape[1:])
    params = {name: np.full(spec.shape, 0.01, np.float32) for name, spec in specs.items()}
    grads = {name: np.zeros(spec.shape, np.float32) for name, spec in specs.items()}
    program = Program()
    context = Context(True, Workspace(), threads, program=program)
    y, cache = layer.forward(x, params, context)
    layer.backward(y, cache, params, grads, context)
    return program.run


def seconds(call: Callable[[], None], least: float = 0.02) -> float:
    """Return the time of one call, measured over at least so many seconds."""
    repeats, start = 0, time.perf_counter()
    while True:
        call()
        repeats += 1
        if (spent := time.perf_counter() - start) > least:
            return spent / repeats


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=31)
    options = parser.parse_args()
    print("| layer | Conv1D, us | Conv2D, us | ratio |\n|---|---|---|---|")
    for name, (N, L, C, OC, K, stride, dilation) in LAYERS.items():
        x = np.random.default_rng(0).standard_normal((N, L, C), np.float32)
        signal = Conv1D(OC, K, stride=stride, dilation=dilation, padding="same")
        image = Conv2D(OC, (1, K), stride=(1, stride), dilation=(1, dilation), padding="same")
        calls = training_pass(signal, x, options.threads), training_pass(image, x[:, None], options.threads)
        rounds = [[seconds(call) for call in calls] for _ in range(options.rounds + 1)][1:]
        ours, other = (1e6 * statistics.median(times) for times in zip(*rounds, strict=True))
        ratio = statistics.median(one / two for one, two in rounds)
        print(f"| {name} | {ours:.1f} | {other:.1f} | {ratio:.3f} |")


if __name__ == "__main__":
    main()
