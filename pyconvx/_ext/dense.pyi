"""Types of the compiled dense layers; see dense.pyx for what each argument holds."""

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]

LEVEL: str

def forward_scratch(N: int, inputs: int, outputs: int, itemsize: int, /) -> int: ...
def forward(
    x: Floats, w: Floats, bias: Floats | None, y: Floats, after: Floats | None, activation: Any, scratch: Floats,
    n_threads: int, /,
) -> None: ...  # fmt: skip
def backward_input_scratch(N: int, inputs: int, outputs: int, itemsize: int, n_threads: int, /) -> int: ...
def backward_input(dy: Floats, w: Floats, dx: Floats, scratch: Floats, n_threads: int, /) -> None: ...
def backward_weights_scratch(N: int, inputs: int, outputs: int, itemsize: int, /) -> int: ...
def backward_weights(x: Floats, dy: Floats, dw: Floats, scratch: Floats, n_threads: int, /) -> None: ...
