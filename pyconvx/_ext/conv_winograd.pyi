"""Types of the compiled Winograd convolutions; see winograd.pyx for what each argument holds."""

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Winners = npt.NDArray[np.uint8]

LEVEL: str

def transformed_shape(C: int, OC: int, itemsize: int, /) -> tuple[int, int, int]: ...
def transform(kernel: Floats, U: Floats, n_threads: int, /) -> None: ...
def forward_scratch(
    N: int, H: int, W: int, C: int, OH: int, OW: int, OC: int, pooled: bool, itemsize: int, n_threads: int, /
) -> int: ...
def forward(
    x: Floats, U: Floats, bias: Floats | None, y: Floats, after: Floats | None, winner: Winners | None,
    activation: Any, top: int, left: int, scratch: Floats, n_threads: int, /,
) -> None: ...  # fmt: skip
def backward_scratch(
    N: int, H: int, W: int, C: int, OH: int, OW: int, OC: int, pooled: bool, dw: bool, dx: bool, itemsize: int,
    n_threads: int, /,
) -> int: ...  # fmt: skip
def backward(
    x: Floats, dy: Floats, winner: Winners | None, kernel: Floats, dkernel: Floats | None, dx: Floats | None,
    top: int, left: int, scratch: Floats, n_threads: int, /,
) -> None: ...  # fmt: skip
