"""Types of the compiled average pool; see avg_pool.pyx for what each argument holds."""

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]

LEVEL: str

class AvgPool:
    n_threads: int
    def __init__(
        self, input_shape: tuple[int, ...], window: Any, include_pad: bool, itemsize: int, n_threads: int, /
    ) -> None: ...
    def forward(self, x: Floats, y: Floats, /) -> None: ...
    def backward(self, dy: Floats, dx: Floats, /) -> None: ...
