"""Types of the compiled convolution; see conv.pyx for what each argument holds."""

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]

LEVEL: str

def forward_scratch(
    N: int, H: int, W: int, C: int, OH: int, OW: int, OC: int, KH: int, KW: int, stride_h: int, stride_w: int,
    top: int, left: int, dilation_h: int, dilation_w: int, groups: int, itemsize: int, n_threads: int, /,
) -> int: ...  # fmt: skip
def forward(
    x: Floats, kernel: Floats, bias: Floats | None, y: Floats, after: Floats | None, activation: Any,
    KH: int, KW: int, stride_h: int,
    stride_w: int, top: int, left: int, dilation_h: int, dilation_w: int, groups: int, scratch: Floats,
    n_threads: int, /,
) -> None: ...  # fmt: skip
def backward_input_scratch(
    N: int, H: int, W: int, C: int, OH: int, OW: int, OC: int, KH: int, KW: int, stride_h: int, stride_w: int,
    top: int, left: int, dilation_h: int, dilation_w: int, groups: int, itemsize: int, n_threads: int, /,
) -> int: ...  # fmt: skip
def backward_input(
    dy: Floats, kernel: Floats, dx: Floats, KH: int, KW: int, stride_h: int,
    stride_w: int, top: int, left: int, dilation_h: int, dilation_w: int, groups: int, scratch: Floats,
    n_threads: int, /,
) -> None: ...  # fmt: skip
