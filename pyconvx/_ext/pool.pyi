"""Types of the compiled pooling loops; see pool.pyx for what each argument holds."""

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Winners = npt.NDArray[np.integer[Any]]  # uint8 or int32

LEVEL: str

def max_pool(
    x: Floats, y: Floats, winner: Winners, KH: int, KW: int, stride_h: int, stride_w: int,
    pad_top: int, pad_left: int, dilation_h: int, dilation_w: int, n_threads: int, /,
) -> None: ...  # fmt: skip
def max_pool_backward(
    dy: Floats, winner: Winners, dx: Floats, KH: int, KW: int, stride_h: int, stride_w: int,
    pad_top: int, pad_left: int, dilation_h: int, dilation_w: int, n_threads: int, /,
) -> None: ...  # fmt: skip
def winner_to_argmax(
    winner: Winners, argmax: npt.NDArray[np.int64], W: int, KH: int, KW: int, stride_h: int, stride_w: int,
    pad_top: int, pad_left: int, dilation_h: int, dilation_w: int, n_threads: int, /,
) -> None: ...  # fmt: skip
def argmax_scatter(dy: Floats, argmax: npt.NDArray[np.int64], dx: Floats, n_threads: int, /) -> None: ...
def avg_pool(
    x: Floats, y: Floats, KH: int, KW: int, stride_h: int, stride_w: int, pad_top: int, pad_left: int,
    pad_bottom: int, pad_right: int, include_pad: int, n_threads: int, /,
) -> None: ...  # fmt: skip
def avg_pool_backward(
    dy: Floats, dx: Floats, KH: int, KW: int, stride_h: int, stride_w: int, pad_top: int, pad_left: int,
    pad_bottom: int, pad_right: int, include_pad: int, n_threads: int, /,
) -> None: ...  # fmt: skip
def global_avg_pool(x: Floats, y: Floats, n_threads: int, /) -> None: ...
def global_avg_pool_backward(dy: Floats, dx: Floats, n_threads: int, /) -> None: ...
