"""Types of the compiled gradient of a convolution's input; see conv_input.pyx for what each argument holds."""

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Winners = npt.NDArray[np.uint8]

LEVEL: str

def backward_input_scratch(
    N: int, H: int, W: int, C: int, PH: int, PW: int, OC: int, KH: int, KW: int, stride_h: int, stride_w: int,
    top: int, left: int, dilation_h: int, dilation_w: int, groups: int,
    pool_h: int, pool_w: int, pool_stride_h: int, pool_stride_w: int, itemsize: int, n_threads: int, /,
) -> int: ...  # fmt: skip
def backward_input(
    dy: Floats, winner: Winners | None, kernel: Floats, dx: Floats, KH: int, KW: int, stride_h: int,
    stride_w: int, top: int, left: int, dilation_h: int, dilation_w: int, groups: int,
    pool_h: int, pool_w: int, pool_stride_h: int, pool_stride_w: int, scratch: Floats, n_threads: int, /,
) -> None: ...  # fmt: skip
