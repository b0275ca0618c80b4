"""Types of the compiled kernel gradients; see conv_gradient.pyx for what each argument holds."""

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]

LEVEL: str

def backward_kernel_scratch(
    N: int, H: int, W: int, C: int, OH: int, OW: int, OC: int, KH: int, KW: int, stride_h: int, stride_w: int,
    top: int, left: int, dilation_h: int, dilation_w: int, groups: int, itemsize: int, n_threads: int, /,
) -> int: ...  # fmt: skip
def backward_kernel(
    x: Floats, dy: Floats, dkernel: Floats, KH: int, KW: int, stride_h: int,
    stride_w: int, top: int, left: int, dilation_h: int, dilation_w: int, groups: int, scratch: Floats,
    n_threads: int, /,
) -> None: ...  # fmt: skip
def backward_bias(dy: Floats, dbias: Floats, scratch: Floats, n_threads: int, /) -> None: ...
