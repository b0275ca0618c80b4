"""2-D convolution (cross-correlation) and its gradients on arrays.

`conv2d` and `conv2d_backward` check their arguments; the functions below them do not, take their memory
from a workspace, and are what the layers call.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pyconvx._ext import conv, conv_gradient
from pyconvx._threads import resolve_threads
from pyconvx._types import FloatArray, Padding, Pair
from pyconvx._workspace import Workspace
from pyconvx.ops._arrays import as_float_array, same_dtype, same_shape
from pyconvx.ops.geometry import Window, as_int, check_size, window


def _checked(
    where: str,
    x: npt.ArrayLike,
    kernel: npt.ArrayLike,
    stride: int | Pair,
    padding: Padding,
    dilation: int | Pair,
    groups: int,
) -> tuple[FloatArray, FloatArray, Window]:
    """The arguments that forward and backward share, checked together."""
    images = as_float_array(where, "x", x, 4)
    weights = as_float_array(where, "kernel", kernel, 4)
    same_dtype(where, ("x", "kernel"), (images, weights))
    groups = as_int(f"{where}: groups", groups, 1)
    if 0 in weights.shape:
        raise ValueError(f"{where}: kernel of shape {weights.shape} has a zero dimension")
    KH, KW, inputs, OC = weights.shape
    N, H, W, C = images.shape
    if C % groups or OC % groups:
        raise ValueError(f"{where}: groups={groups} must divide the {C} input and {OC} output channels")
    if inputs * groups != C:
        raise ValueError(
            f"{where}: kernel of shape {weights.shape} takes {inputs * groups} channels with groups={groups}, "
            f"got x.shape={images.shape}"
        )
    view = window(where, (H, W), (KH, KW), stride=stride, padding=padding, dilation=dilation)
    check_size(where, N, view.OH, view.OW, OC)
    check_size(where, H + view.top + view.bottom, W + view.left + view.right, C)
    return images, weights, view


def conv2d(
    x: npt.ArrayLike,
    kernel: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    *,
    stride: int | Pair = 1,
    padding: Padding = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
    n_threads: int | None = None,
) -> FloatArray:
    """Convolve images with kernels, as neural networks do: cross-correlation, the kernel is not flipped.

    Parameters
    ----------
    x : array of shape (N, H, W, C)
        Images, channels last; float32 or float64. N may be 0.
    kernel : array of shape (KH, KW, C / groups, OC)
        One kernel per output channel, of the dtype of `x`.
    bias : array of shape (OC,), optional
        Added at every position.
    stride, dilation : int or (int, int)
        Step between windows and distance between taps, in pixels.
    padding : int, (ph, pw), ((top, bottom), (left, right)), "same" or "valid"
        Zeros around the images. "same" gives ``ceil(size / stride)`` rows and columns.
    groups : int
        Output channels see C / groups input channels each; C gives a depthwise convolution.
    n_threads : int, optional
        None for OpenMP's limit, -1 for all processors. It does not change a bit of the result.

    Returns
    -------
    array of shape (N, OH, OW, OC)
        ``y[n, i, j, o] = bias[o] + sum x[n, i*stride + m*dilation - top, j*stride + k*dilation - left, c]
        * kernel[m, k, c, o]`` over m, k, c; the sizes as `conv_output_size` gives them.

    Raises
    ------
    TypeError
        If an array is neither float32 nor float64, the dtypes differ, or a size is no integer.
    ValueError
        If shapes do not fit together, a parameter is out of range or the kernel exceeds the padded input.

    Examples
    --------
    >>> import numpy as np
    >>> from pyconvx.ops import conv2d
    >>> image = np.zeros((1, 4, 6, 1)); image[:, :, 3:] = 1
    >>> edge = np.array([[1.0, 0.0, -1.0]] * 3)[:, :, None, None]
    >>> conv2d(image, edge)[0, :, :, 0]
    array([[ 0., -3., -3.,  0.],
           [ 0., -3., -3.,  0.]])
    """
    images, weights, view = _checked("conv2d", x, kernel, stride, padding, dilation, groups)
    OC = weights.shape[3]
    offsets = None
    if bias is not None:
        offsets = as_float_array("conv2d", "bias", bias, 1)
        same_dtype("conv2d", ("x", "bias"), (images, offsets))
        same_shape("conv2d", "bias", offsets, (OC,))
    threads = resolve_threads(n_threads)
    y = np.empty((len(images), view.OH, view.OW, OC), images.dtype)
    forward(images, weights, offsets, y, view, groups, Workspace(), threads)
    return y


def conv2d_backward(
    dy: npt.ArrayLike,
    x: npt.ArrayLike,
    kernel: npt.ArrayLike,
    *,
    stride: int | Pair = 1,
    padding: Padding = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
    n_threads: int | None = None,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Gradients of `conv2d` with respect to its input, kernel and bias.

    Parameters
    ----------
    dy : array of shape (N, OH, OW, OC)
        Gradient of a scalar with respect to the output.
    x, kernel
        What the forward pass got; all three of one dtype.
    stride, padding, dilation, groups, n_threads
        As for `conv2d`.

    Returns
    -------
    dx : array of shape (N, H, W, C)
    dkernel : array of shape (KH, KW, C / groups, OC)
    dbias : array of shape (OC,)

    Raises
    ------
    TypeError, ValueError
        As `conv2d`, and if `dy` has not the shape of the output.
    """
    where = "conv2d_backward"
    images, weights, view = _checked(where, x, kernel, stride, padding, dilation, groups)
    gradient = as_float_array(where, "dy", dy, 4)
    same_dtype(where, ("x", "dy"), (images, gradient))
    same_shape(where, "dy", gradient, (len(images), view.OH, view.OW, weights.shape[3]))
    threads = resolve_threads(n_threads)
    workspace = Workspace()
    dx = np.empty_like(images)
    dkernel = np.zeros_like(weights)
    dbias = np.zeros(weights.shape[3], weights.dtype)
    backward_input(gradient, weights, dx, view, groups, workspace, threads)
    backward_kernel(images, gradient, dkernel, view, groups, workspace, threads)
    backward_bias(gradient, dbias, workspace, threads)
    return dx, dkernel, dbias


# ------------------------------------------------------------------- unchecked: what the layers call

# Below this many multiplications a second thread costs more than it brings (docs/kernels.md).
_CROSSOVER = 150_000


def threads_for(multiplications: int, n_threads: int) -> int:
    """One thread where the work is too small to share."""
    return n_threads if multiplications > _CROSSOVER else 1


@dataclass(frozen=True)
class Pooled:
    """A max pool behind a convolution: windows that share no cell and lie inside the map.

    Parameters
    ----------
    winner : uint8 array of shape (N, PH, PW, OC)
        The tap of each maximum in its window, kh * KW + kw; written forward, read backward.
    view : Window
        The pool's, over the convolution's map. At least two and at most 254 taps, no padding, dilation 1.
    """

    winner: npt.NDArray[np.uint8]
    view: Window

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """What a kernel takes: height, width, strides."""
        return self.view.sizes[:4]


def _plan(
    x: FloatArray,
    y: FloatArray,
    kernel: FloatArray,
    view: Window,
    groups: int,
    n_threads: int,
    pooled: Pooled | None,
) -> tuple[npt.NDArray[np.uint8] | None, tuple[int, int, int, int], tuple[int, ...], int]:
    """Winners, the pool's sizes, the sizes that scratch functions take, and the threads for the work."""
    N = len(x)
    _, PH, PW, OC = y.shape
    pool = (1, 1, 1, 1) if pooled is None else pooled.sizes
    cells = N * ((PH - 1) * pool[2] + pool[0]) * ((PW - 1) * pool[3] + pool[1])
    threads = threads_for(cells * kernel.size, n_threads)
    winner = None if pooled is None else pooled.winner
    return winner, pool, (*x.shape, PH, PW, OC, *view.sizes, groups, *pool, x.itemsize, threads), threads


def forward(
    x: FloatArray,
    kernel: FloatArray,
    bias: FloatArray | None,
    y: FloatArray,
    view: Window,
    groups: int,
    workspace: Workspace,
    n_threads: int,
    after: FloatArray | None = None,
    activation: Any = None,
    pooled: Pooled | None = None,
) -> None:
    """Write the convolution to `y` and, with an activation's capsule, f(y) to `after` (which may be `y`).

    With a pool behind it, `y` is its maxima and the winners are written too.
    """
    if not len(x):
        return
    winner, pool, plan, threads = _plan(x, y, kernel, view, groups, n_threads, pooled)
    mark = workspace.mark()
    scratch = workspace.take((conv.forward_scratch(*plan),), x.dtype)
    conv.forward(x, kernel, bias, y, after, winner, activation, *view.sizes, groups, *pool, scratch, threads)
    workspace.release(mark)


def backward_input(
    dy: FloatArray,
    kernel: FloatArray,
    dx: FloatArray,
    view: Window,
    groups: int,
    workspace: Workspace,
    n_threads: int,
    pooled: Pooled | None = None,
) -> None:
    """Write the gradient of the input to `dx`, given that of the output, or of the pool behind it."""
    if not len(dx):
        return
    winner, pool, plan, threads = _plan(dx, dy, kernel, view, groups, n_threads, pooled)
    mark = workspace.mark()
    scratch = workspace.take((conv.backward_input_scratch(*plan),), dy.dtype)
    conv.backward_input(dy, winner, kernel, dx, *view.sizes, groups, *pool, scratch, threads)
    workspace.release(mark)


def backward_kernel(
    x: FloatArray,
    dy: FloatArray,
    dkernel: FloatArray,
    view: Window,
    groups: int,
    workspace: Workspace,
    n_threads: int,
    pooled: Pooled | None = None,
) -> None:
    """Add the gradient of the kernel to `dkernel`, given that of the output, or of the pool behind it."""
    if not len(x):
        return
    winner, pool, plan, threads = _plan(x, dy, dkernel, view, groups, n_threads, pooled)
    mark = workspace.mark()
    scratch = workspace.take((conv_gradient.backward_kernel_scratch(*plan),), x.dtype)
    conv_gradient.backward_kernel(x, dy, winner, dkernel, *view.sizes, groups, *pool, scratch, threads)
    workspace.release(mark)


def backward_bias(dy: FloatArray, dbias: FloatArray, workspace: Workspace, n_threads: int) -> None:
    """Add the gradient of the bias, the sum of `dy` over all but the last axis, to `dbias`."""
    if not len(dy):
        return
    channels = dy.shape[-1]
    mark = workspace.mark()
    scratch = workspace.take((16 * channels,), dy.dtype)
    conv_gradient.backward_bias(dy.reshape(len(dy), -1, channels), dbias, scratch, threads_for(dy.size, n_threads))
    workspace.release(mark)
