"""Types of the compiled max pool; see max_pool.pyx for what each argument holds."""

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Winners = npt.NDArray[np.integer[Any]]  # uint8 or int32
Places = npt.NDArray[np.int64]

LEVEL: str

class MaxPool:
    n_threads: int
    def __init__(
        self, input_shape: tuple[int, ...], window: Any, itemsize: int, tap_itemsize: int, n_threads: int, /
    ) -> None: ...
    def forward(self, x: Floats, y: Floats, winner: Winners, /) -> None: ...
    def backward(self, dy: Floats, winner: Winners, dx: Floats, /) -> None: ...
    def places(self, winner: Winners, argmax: Places, /) -> None: ...

def argmax_scatter(dy: Floats, argmax: Places, dx: Floats, n_threads: int, /) -> None: ...
