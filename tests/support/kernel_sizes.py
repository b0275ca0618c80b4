"""Every kernel at many sizes, forward and backward: for tests that watch memory and threads, not numbers.

Sizes run over all remainders of a vector; little work is shared among threads as if it were much.
"""

import itertools

import numpy as np
from nets import MIXED, PLAIN, RELU, outputs, passes, pictures, trainer
from plans import plan_by, scratch_of

from pyconvx import activations, ops, solvers
from pyconvx._core import threads as _threads
from pyconvx._core.arrays import all_finite
from pyconvx.layers import AvgPool2D, BatchNorm, Conv2D, Dense, DepthwiseConv2D, Flatten, MaxPool2D
from pyconvx.network import Network
from pyconvx.ops import batches, channels, elementwise, losses, random, softmax, solver_steps
from pyconvx.ops.geometry import window

DTYPES = (np.float32, np.float64)
SIZES = range(1, 34)
FEW = (1, 3, 8, 17, 32)
OPTIONS = (
    {"padding": 1},
    {"stride": 2},
    {"stride": (3, 1), "padding": ((0, 1), (2, 0))},
    {"dilation": 2, "padding": 2},
)
# what a convolution may be fused with, and pools of their own with few taps and with many
POOLS = ((RELU, MaxPool2D(2)), (MaxPool2D(3), RELU), (MaxPool2D(3, stride=2, padding=1),), (MaxPool2D((2, 130)),))
STACKS = {"plain": (PLAIN, (8, 7, 2)), "mixed": (MIXED, (8, 7, 2))}


def share_little_work():
    """Let kernels use all the threads that they are given."""
    _threads.ONE_THREAD.update(dict.fromkeys(_threads.ONE_THREAD, 0))


def numbers(*shape, dtype):
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


def convolution(dtype, threads, size, taps, C, OC, groups, options):
    """One convolution and its gradients."""
    x, kernel = numbers(3, *size, C, dtype=dtype), numbers(*taps, C // groups, OC, dtype=dtype)
    y = ops.conv2d(x, kernel, numbers(OC, dtype=dtype), groups=groups, n_threads=threads, **options)
    ops.conv2d_backward(y, x, kernel, groups=groups, n_threads=threads, **options)


def winograd(dtype, threads, C, OC, pooled):
    """The same through Winograd's transform, which small layers and double precision do without."""
    taps = window("winograd", (7, 6), (3, 3), padding=1)
    pool = window("winograd", (7, 6), (2, 2), stride=2) if pooled else None
    plan = plan_by("winograd", (3, 7, 6, C), OC, taps, 1, dtype, threads, pool)
    x, kernel = numbers(3, 7, 6, C, dtype=dtype), numbers(3, 3, C, OC, dtype=dtype)
    y = np.empty(plan.output_shape, dtype)
    winner = np.empty(y.shape, np.uint8) if pooled else None
    scratch = scratch_of(plan.forward_scratch, dtype)
    for weights in (kernel, plan.prepared(kernel)):
        plan.forward(x, weights, None, y, None, winner, None, scratch)
    dkernel, dx, scratch = np.zeros_like(kernel), np.empty_like(x), scratch_of(plan.backward_scratch, dtype)
    plan.backward(x, y, kernel, dkernel, dx, winner, scratch)


def pools(dtype, threads, C):
    """Pools on arrays."""
    x = numbers(2, 7, 6, C, dtype=dtype)
    for options in ({}, {"stride": 1, "padding": 1}, {"stride": 2, "ceil_mode": True}):
        y, argmax = ops.max_pool2d(x, 3, n_threads=threads, **options)
        ops.max_pool2d_backward(y, argmax, x.shape, n_threads=threads)
        y = ops.avg_pool2d(x, (2, 3), n_threads=threads, **options)
        ops.avg_pool2d_backward(y, x.shape, (2, 3), n_threads=threads, **options)
    ops.max_pool2d(x, (7, 40), padding=((0, 0), (17, 17)), n_threads=threads)
    ops.global_avg_pool2d_backward(ops.global_avg_pool2d(x, n_threads=threads), x.shape, n_threads=threads)


def network(dtype, threads, layers, shape, rows):
    """A network's outputs and gradients."""
    net = Network(layers, shape, dtype=dtype)
    x = numbers(rows, *shape, dtype=dtype)
    dy = numbers(rows, *net.output_shape, dtype=dtype)
    passes(net, x, dy, n_threads=threads)
    outputs(net, x, n_threads=threads)


def fit(dtype, threads, stack):
    """Two epochs."""
    layers, shape = STACKS[stack]
    net = Network(layers, shape, dtype=dtype)
    trainer(net, *pictures(20, shape), batch_size=7, n_threads=threads, alpha=0.1).run(2)


def functions(dtype, threads, name, n):
    """An activation, without copies and in place."""
    activation = activations.registry.get(name)
    x, dy = numbers(n, dtype=dtype), numbers(n, dtype=dtype)
    y = np.empty_like(x)
    elementwise.activate(activation.capsule, x, y, threads)
    elementwise.activate_backward(activation.capsule, x, dy, dy, threads)


def rows(dtype, threads, K):
    """Softmax, loss, dropout and batches, over rows."""
    x, y, dx = (numbers(5, K, dtype=dtype) for _ in range(3))
    index, keys = np.arange(5) % min(K, 5), np.empty(5, np.uint64)
    softmax.softmax(x, y, threads)
    softmax.softmax_backward(y, x, dx, threads)
    softmax.log_softmax(x, y, threads)
    softmax.log_softmax_backward(y, x, dx, threads)
    losses.cross_entropy(x, index, np.ones(5, dtype), 0.1, y, threads)
    random.keys(1, 2, 3, index, keys)
    random.dropout(x, keys, 0.3, y, threads)
    random.dropout_backward(x, keys, 0.3, y, threads)
    for kind in (np.uint8, np.float32, np.float64):
        batches.gather(np.abs(x).astype(kind), index[::-1].copy(), y, 0.5, threads)


def channelwise(dtype, threads, C):
    """Factors, sums and copies of channels."""
    x, y = numbers(3, 5, C, dtype=dtype), numbers(3, 5, C, dtype=dtype)
    factors, shifts = numbers(3, C, dtype=dtype), numbers(3, C, dtype=dtype)
    channels.scale(x, factors, None, y, threads)
    channels.scale(x, factors, shifts, y, threads)
    channels.products(x, y, np.empty(3 * C), factors, threads)
    wide = numbers(15, C + 2, dtype=dtype)
    channels.copy(x.reshape(15, C), 0, wide, 2, C, threads)
    channels.copy(wide, 2, x.reshape(15, C), 0, C, threads)


def steps(dtype, threads, n):
    """Solvers and sums over flat arrays."""
    parameters, gradients = numbers(n, dtype=dtype), numbers(n, dtype=dtype)
    for name in solvers.registry.names():
        solver = solvers.registry.get(name)
        slots = np.zeros((solver.slots, n), dtype)
        solver.step(parameters, gradients, slots, 0.01, 1, n_weights=n // 2, n_threads=threads)
    solver_steps.l2(parameters, gradients, 0.1, n // 2, threads)
    all_finite(parameters, threads)


def convolutions():
    """Plain, grouped and depthwise, for every number of channels; the arguments of `convolution`."""
    for n in SIZES:
        yield (5, 4), (3, 3), n, 34 - n, 1, {"padding": 1}
        yield (3, 2), (1, 1), n, n, 1, {}
        yield (6, 7), (3, 3), n, n, n, {"padding": 1}
    for n, taps, options in itertools.product(FEW, ((3, 3), (2, 4), (5, 1)), OPTIONS):
        yield (9, 7), taps, n, n + 2, 1, options
        yield (9, 7), taps, 2 * n, 2 * n + 2, 2, options
        yield (9, 7), taps, n + 1, 2 * n + 2, n + 1, options
    # kernels that are packed a piece at a time, on few pixels and on many
    yield (5, 4), (3, 2), 300, 17, 1, {}
    yield (30, 26), (3, 2), 300, 17, 1, {}


def cases():
    """Yield (function, its arguments after type and threads)."""
    yield from ((convolution, arguments) for arguments in convolutions())
    for n in SIZES:
        yield pools, (n,)
        yield rows, (n,)
        yield channelwise, (n,)
        yield steps, (n,)
        yield from ((winograd, (n, 34 - n, pooled)) for pooled in (False, True))
        yield network, ((Dense(n), RELU, Dense(34 - n)), (n,), n % 7 + 1)
        yield network, ((Conv2D(n, 1), BatchNorm(), DepthwiseConv2D(), AvgPool2D(2), Flatten()), (5, 6, 2), 3)
        yield network, ((Conv2D(34 - n, 1), Conv2D(n, padding=1), *POOLS[n % 4]), (6, 131, 1), 2)
    for n, pool in itertools.product((16, 24, 31), POOLS):
        yield network, ((Conv2D(n, 1), Conv2D(n + 1, padding=1), *pool), (6, 131, 2), 2)
    yield network, ((Conv2D(130, 1), Conv2D(150, padding="same"), *POOLS[0], Flatten(), Dense(500)), (9, 9, 3), 3)
    for name in activations.registry.names():
        if hasattr(activations.registry.get(name), "capsule"):
            yield from ((functions, (name, n)) for n in SIZES)
    yield from ((fit, (name,)) for name in STACKS)


def run(dtype, threads, tell=lambda text: None):
    """All cases; `tell` hears of each before it runs. Returns how many there were."""
    count = 0
    for function, arguments in cases():
        tell(f"{function.__name__} {np.dtype(dtype).name} {threads} threads {arguments}")
        function(dtype, threads, *arguments)
        count += 1
    return count
