"""A convolution planned for batches of one shape: which kernels run, their scratch memory, and the runs.

Sizes are worked out once, when a plan is made. A run takes arrays only, whose shapes and types the kernels check.
`pyconvx.ops.convolution` and the layers call plans.
"""

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from pyconvx._core.threads import threads_for
from pyconvx._core.types import FloatArray, Shape
from pyconvx._core.workspace import aligned_empty
from pyconvx._ext import conv, conv_gradient, conv_input, conv_winograd
from pyconvx.ops import winograd
from pyconvx.ops.geometry import Window

Run = Callable[..., None]  # a kernel that takes arrays


class ConvPlan:
    """A convolution and its gradients for batches of one shape.

    The shape of one sample chooses between the direct kernels and Winograd's transform, so that a sample's result
    does not depend on its batch. Nor does any result depend on the number of threads.

    Parameters
    ----------
    input_shape : (N, H, W, C)
        Shape of the batch; N may be 0.
    filters : int
        Output channels, OC.
    window : Window
        The kernel's window over (H, W).
    groups : int
        Divides C and OC.
    dtype : dtype
        float32 or float64.
    n_threads : int
        As `resolve_threads` returns it; work that is too small to share takes one thread.
    pool : Window, optional
        A max pool over the convolution's map, (OH, OW), that runs with it. Its windows share no cell, lie inside
        the map and have 2 to 254 taps.

    Attributes
    ----------
    kernel_shape : (KH, KW, C / groups, OC)
    output_shape : (N, PH, PW, OC)
        Shape of the maxima, or of the map without a pool.
    winograd : bool
        Whether Winograd's transform is used.
    forward_scratch, backward_scratch : int
        Numbers of `dtype` that `forward`, and `backward` and `backward_bias`, need as scratch.

    Notes
    -----
    A run raises ValueError for an array of another shape or type. Arrays are C-contiguous; scratch is flat and may
    be longer than necessary, and what it holds means nothing between two runs.
    """

    def __init__(
        self,
        input_shape: Shape,
        filters: int,
        window: Window,
        groups: int,
        dtype: npt.DTypeLike,
        n_threads: int,
        pool: Window | None = None,
    ) -> None:
        N, _, _, C = input_shape
        out = window if pool is None else pool
        self.kernel_shape = (window.KH, window.KW, C // groups, filters)
        self.output_shape = (N, out.OH, out.OW, filters)
        itemsize = np.dtype(dtype).itemsize
        threads = threads_for(N * window.OH * window.OW * math.prod(self.kernel_shape), n_threads)
        self.winograd = winograd.suits(window, C, filters, groups, itemsize)
        self._bias = (self.output_shape, itemsize, threads_for(math.prod(self.output_shape), n_threads))
        self._sizes: tuple[Any, ...]
        self._forward: Any
        if self.winograd:
            self._sizes = (input_shape, filters, window, pool, itemsize, threads)
            self._forward = conv_winograd.WinogradForward(*self._sizes)
        else:
            self._sizes = (input_shape, filters, window, groups, pool, itemsize, threads)
            self._forward = conv.ConvForward(*self._sizes)
        self.forward_scratch = int(self._forward.scratch)

    @property
    def forward(self) -> Run:
        """Run ``forward(x, kernel, bias, y, activated, winner, activation, scratch)``.

        Write the convolution, or its maxima, to `y` and f of them to `activated`, which may be `y`. `activation`
        is the capsule of f, or None, as `bias` may be; `winner`, uint8 and of `y`'s shape, gets the tap kh * KW +
        kw of each maximum, and is None without a pool. `kernel` may be what `prepared` returned.
        """
        run: Run = self._forward.run
        return run

    def prepared(self, kernel: FloatArray) -> FloatArray:
        """Return what `forward` may take in place of a kernel that does not change, so that less is left to do."""
        if not self.winograd:
            return kernel
        shape = self._forward.transformed_shape
        transformed: FloatArray = aligned_empty(math.prod(shape), kernel.dtype).reshape(shape)
        self._forward.transform(kernel, transformed)
        return transformed

    @property
    def backward(self) -> Run:
        """Run ``backward(x, dy, kernel, dkernel, dx, winner, scratch)``.

        `dy` is the gradient of the map, or of the maxima, whose `winner` forward wrote. Add the gradient of the
        kernel to `dkernel` and write that of the input to `dx`; None for one that is not wanted.
        """
        run: Run = self._gradients.run
        return run

    @property
    def backward_bias(self) -> Run:
        """Run ``backward_bias(dy, dbias, scratch)``: add the sum of `dy` over all axes but the last to `dbias`."""
        return self._bias_gradient.run

    @cached_property
    def backward_scratch(self) -> int:
        return max(int(self._gradients.scratch), self._bias_gradient.scratch)

    @cached_property
    def _gradients(self) -> Any:
        return conv_winograd.WinogradBackward(*self._sizes) if self.winograd else _DirectGradients(self._sizes)

    @cached_property
    def _bias_gradient(self) -> conv_gradient.BiasGradient:
        return conv_gradient.BiasGradient(*self._bias)


class _DirectGradients:
    """The gradients of kernel and input by the direct kernels, one after the other."""

    def __init__(self, sizes: tuple[Any, ...]) -> None:
        self._kernel, self._input = conv_gradient.ConvKernel(*sizes), conv_input.ConvInput(*sizes)
        self.scratch = max(self._kernel.scratch, self._input.scratch)

    def run(
        self,
        x: FloatArray,
        dy: FloatArray,
        kernel: FloatArray,
        dkernel: FloatArray | None,
        dx: FloatArray | None,
        winner: npt.NDArray[np.uint8] | None,
        scratch: FloatArray,
    ) -> None:
        """Run those that are wanted."""
        if dkernel is not None:
            self._kernel.run(x, dy, dkernel, winner, scratch)
        if dx is not None:
            self._input.run(dy, kernel, dx, winner, scratch)
