"""Fused pools and gradients of biases, as the layers call them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pyconvx._core.threads import threads_for
from pyconvx._core.types import FloatArray
from pyconvx._core.workspace import Workspace
from pyconvx._ext import conv_gradient
from pyconvx.ops.geometry import Window

Call = Callable[[], None]  # a kernel with all its arguments


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


def backward_bias(dy: FloatArray, dbias: FloatArray, workspace: Workspace, n_threads: int) -> None:
    """Add the gradient of the bias, the sum of `dy` over all but the last axis, to `dbias`."""
    mark = workspace.mark()
    plan = conv_gradient.BiasGradient(dy.shape, dy.itemsize, threads_for(dy.size, n_threads))
    plan.run(dy, dbias, workspace.take((plan.scratch,), dy.dtype))
    workspace.release(mark)
