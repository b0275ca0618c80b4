"""2-D convolution (cross-correlation) and its gradients on arrays.

`conv2d` and `conv2d_backward` check all their arguments and run a `pyconvx.ops.conv_plan.ConvPlan` once.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pyconvx._core.arrays import as_float_array, same_dtype, same_shape
from pyconvx._core.numbers import as_int
from pyconvx._core.threads import resolve_threads
from pyconvx._core.types import FloatArray, Padding, Pair
from pyconvx._core.workspace import aligned_empty
from pyconvx.ops.conv_plan import ConvPlan
from pyconvx.ops.geometry import Window, check_size, window


def _checked(
    where: str,
    x: npt.ArrayLike,
    kernel: npt.ArrayLike,
    stride: int | Pair,
    padding: Padding,
    dilation: int | Pair,
    groups: int,
) -> tuple[FloatArray, FloatArray, Window, int]:
    """Check the arguments that forward and backward share; return images, kernel, its window and the groups."""
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
    taps = window(where, (H, W), (KH, KW), stride=stride, padding=padding, dilation=dilation)
    check_size(where, N, taps.OH, taps.OW, OC)
    check_size(where, taps.rows.padded_size, taps.columns.padded_size, C)
    return images, weights, taps, groups


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
        If shapes do not fit together, a parameter is out of range, or the kernel exceeds the padded input.

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
    images, weights, taps, groups = _checked("conv2d", x, kernel, stride, padding, dilation, groups)
    OC = weights.shape[3]
    offsets = None
    if bias is not None:
        offsets = as_float_array("conv2d", "bias", bias, 1)
        same_dtype("conv2d", ("x", "bias"), (images, offsets))
        same_shape("conv2d", "bias", offsets, (OC,))
    plan = ConvPlan(images.shape, OC, taps, groups, images.dtype, resolve_threads(n_threads))
    y = np.empty(plan.output_shape, images.dtype)
    scratch = aligned_empty(plan.forward_scratch, images.dtype)
    plan.forward(images, weights, offsets, y, None, None, None, scratch)
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
    """Return the gradients of `conv2d` with respect to its input, kernel and bias.

    Parameters
    ----------
    dy : array of shape (N, OH, OW, OC)
        Gradient of a scalar with respect to the output.
    x, kernel
        As they were passed to `conv2d`; all three arrays have one dtype.
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
        As `conv2d` does, and if the shape of `dy` is not that of the output.
    """
    where = "conv2d_backward"
    images, weights, taps, groups = _checked(where, x, kernel, stride, padding, dilation, groups)
    gradient = as_float_array(where, "dy", dy, 4)
    same_dtype(where, ("x", "dy"), (images, gradient))
    same_shape(where, "dy", gradient, (len(images), taps.OH, taps.OW, weights.shape[3]))
    plan = ConvPlan(images.shape, weights.shape[3], taps, groups, images.dtype, resolve_threads(n_threads))
    dx, dkernel, dbias = np.empty_like(images), np.zeros_like(weights), np.zeros(weights.shape[3], weights.dtype)
    scratch = aligned_empty(plan.backward_scratch, images.dtype)
    plan.backward_bias(gradient, dbias, scratch)
    plan.backward(images, gradient, weights, dkernel, dx, None, scratch)
    return dx, dkernel, dbias
