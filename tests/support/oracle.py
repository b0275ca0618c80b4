"""Slow, obvious NumPy versions of the array operations, in float64: what the kernels are compared with.

Written from the definitions, tap by tap, and sharing no code with the package, not even the output sizes.
Geometry is spelt out: stride and dilation are pairs, padding is ((top, bottom), (left, right)).
"""

import itertools
from collections.abc import Iterator

import numpy as np

ONE = (1, 1)
NO_PADDING = ((0, 0), (0, 0))


def integer_array(rng, shape, dtype=np.float64, low=-4, high=5):
    """Return small whole numbers: sums of their products are exact in float32, so results must be equal."""
    return rng.integers(low, high, shape).astype(dtype)


def sides(padding, size, kernel_size, stride=ONE, dilation=ONE):
    """Return padding of any form as ((top, bottom), (left, right))."""
    if padding == "valid":
        return NO_PADDING
    if padding == "same":
        pairs = []
        for n, k, s, d in zip(size, kernel_size, stride, dilation, strict=True):
            outputs = -(-n // s)
            total = max((outputs - 1) * s + d * (k - 1) + 1 - n, 0)
            pairs.append((total // 2, total - total // 2))
        return tuple(pairs)
    if isinstance(padding, int):
        padding = (padding, padding)
    return tuple(p if isinstance(p, tuple) else (p, p) for p in padding)


def output_size(size, kernel_size, stride=1, padding=(0, 0), dilation=1, ceil_mode=False):
    """Count the windows that fit by sliding one; ceil mode may add one that reaches beyond the end."""
    end = size + sum(padding)
    reach = dilation * (kernel_size - 1) + 1
    starts = [start for start in range(0, end, stride) if start + reach <= end]
    if ceil_mode and not starts:
        return int(reach - end < stride)  # a first window that reaches beyond the end by less than a step
    if ceil_mode:
        after = starts[-1] + stride
        if starts[-1] + reach < end and after < size + padding[0]:
            starts.append(after)
    return len(starts)


def output_sizes(size, kernel_size, stride=ONE, padding=NO_PADDING, dilation=ONE, ceil_mode=False):
    """Count the windows along both axes."""
    return tuple(
        output_size(*axis, ceil_mode) for axis in zip(size, kernel_size, stride, padding, dilation, strict=True)
    )


def taps(size, kernel_size, out, stride, padding, dilation) -> Iterator[tuple[int, ...]]:
    """Yield (i, j, m, n, h, w): output cell, tap, and the cell of the map under it, if there is one."""
    for i, j in itertools.product(range(out[0]), range(out[1])):
        for m, n in itertools.product(range(kernel_size[0]), range(kernel_size[1])):
            h = i * stride[0] + m * dilation[0] - padding[0][0]
            w = j * stride[1] + n * dilation[1] - padding[1][0]
            if 0 <= h < size[0] and 0 <= w < size[1]:
                yield i, j, m, n, h, w


def _groups(C, OC, groups):
    """Yield (channels read, channels written) of each group."""
    for g in range(groups):
        yield (
            slice(g * C // groups, (g + 1) * C // groups),
            slice(g * OC // groups, (g + 1) * OC // groups),
        )


def conv2d(x, kernel, bias=None, stride=ONE, padding=NO_PADDING, dilation=ONE, groups=1):
    """y[n, i, j, o] = bias[o] + the sum over taps and the group's channels of x * kernel."""
    x, kernel = np.float64(x), np.float64(kernel)
    size, kernel_size, OC = x.shape[1:3], kernel.shape[:2], kernel.shape[3]
    out = output_sizes(size, kernel_size, stride, padding, dilation)
    y = np.zeros((len(x), *out, OC))
    if bias is not None:
        y += bias
    for i, j, m, n, h, w in taps(size, kernel_size, out, stride, padding, dilation):
        for read, written in _groups(x.shape[3], OC, groups):
            y[:, i, j, written] += x[:, h, w, read] @ kernel[m, n, :, written]
    return y


def conv2d_backward(dy, x, kernel, stride=ONE, padding=NO_PADDING, dilation=ONE, groups=1):
    """Return dx, dkernel and dbias: the derivative of every product of the forward pass."""
    dy, x, kernel = np.float64(dy), np.float64(x), np.float64(kernel)
    size, kernel_size, OC = x.shape[1:3], kernel.shape[:2], kernel.shape[3]
    dx, dkernel = np.zeros_like(x), np.zeros_like(kernel)
    for i, j, m, n, h, w in taps(size, kernel_size, dy.shape[1:3], stride, padding, dilation):
        for read, written in _groups(x.shape[3], OC, groups):
            dx[:, h, w, read] += dy[:, i, j, written] @ kernel[m, n, :, written].T
            dkernel[m, n, :, written] += x[:, h, w, read].T @ dy[:, i, j, written]
    return dx, dkernel, dy.sum(axis=(0, 1, 2))


def max_pool2d(x, pool_size, stride, padding=NO_PADDING, dilation=ONE, ceil_mode=False):
    """Return the first NaN of each window, else the first of its largest, and its position h * W + w."""
    size = x.shape[1:3]
    out = output_sizes(size, pool_size, stride, padding, dilation, ceil_mode)
    y = np.zeros((len(x), *out, x.shape[3]), x.dtype)
    argmax = np.full(y.shape, -1, np.int64)
    for i, j, _, _, h, w in taps(size, pool_size, out, stride, padding, dilation):
        value, best = x[:, h, w], y[:, i, j]
        first = argmax[:, i, j] < 0
        better = first | (~np.isnan(best) & ((value > best) | np.isnan(value)))
        y[:, i, j] = np.where(better, value, best)
        argmax[:, i, j] = np.where(better, h * size[1] + w, argmax[:, i, j])
    return y, argmax


def max_pool2d_backward(dy, argmax, input_shape):
    """Add each gradient to the winner of its window."""
    N, H, W, C = input_shape
    dx = np.zeros((N, H * W, C))
    for cell in np.ndindex(*dy.shape):
        dx[cell[0], argmax[cell], cell[3]] += dy[cell]
    return dx.reshape(N, H, W, C)


def _counts(size, pool_size, out, stride, padding, include_pad):
    """Return the number of cells that each mean is divided by, padding included or not."""
    count = np.zeros(out)
    if include_pad:  # then the padded map counts as the map
        size = tuple(n + sum(p) for n, p in zip(size, padding, strict=True))
        padding = NO_PADDING
    for i, j, *_ in taps(size, pool_size, out, stride, padding, ONE):
        count[i, j] += 1
    return count


def avg_pool2d(x, pool_size, stride, padding=NO_PADDING, ceil_mode=False, include_pad=False):
    """Return the mean of each window."""
    size = x.shape[1:3]
    out = output_sizes(size, pool_size, stride, padding, ONE, ceil_mode)
    y = np.zeros((len(x), *out, x.shape[3]))
    for i, j, _, _, h, w in taps(size, pool_size, out, stride, padding, ONE):
        y[:, i, j] += x[:, h, w]
    return y / _counts(size, pool_size, out, stride, padding, include_pad)[:, :, None]


def avg_pool2d_backward(dy, input_shape, pool_size, stride, padding=NO_PADDING, include_pad=False):
    """Add each gradient in equal parts to the cells of its window."""
    size, out = input_shape[1:3], dy.shape[1:3]
    share = dy / _counts(size, pool_size, out, stride, padding, include_pad)[:, :, None]
    dx = np.zeros(input_shape)
    for i, j, _, _, h, w in taps(size, pool_size, out, stride, padding, ONE):
        dx[:, h, w] += share[:, i, j]
    return dx


def global_avg_pool2d(x):
    """Return the mean of each plane."""
    return np.float64(x).sum(axis=(1, 2)) / (x.shape[1] * x.shape[2])


def assert_adjoint(pairs, rtol=1e-12):
    """The inner products of a linear map and its adjoints are one number: <f(x), g> = <x, f*(g)> = ..."""
    products = [float(np.vdot(a, b)) for a, b in pairs]
    scale = max(float(np.linalg.norm(a) * np.linalg.norm(b)) for a, b in pairs)
    assert max(products) - min(products) <= rtol * scale, products
