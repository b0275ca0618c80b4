"""Types of the compiled Winograd convolutions; see conv_winograd.pyx for what each argument holds."""

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Winners = npt.NDArray[np.uint8]

LEVEL: str

class WinogradForward:
    scratch: int
    transformed_shape: tuple[int, int, int]
    def __init__(
        self, input_shape: tuple[int, ...], filters: int, window: Any, pool: Any, itemsize: int, n_threads: int, /
    ) -> None: ...
    def transform(self, kernel: Floats, U: Floats, /) -> None: ...
    def run(
        self, x: Floats, kernel: Floats, bias: Floats | None, y: Floats, activated: Floats | None,
        winner: Winners | None, activation: Any, scratch: Floats, /,
    ) -> None: ...  # fmt: skip

class WinogradBackward:
    scratch: int
    def __init__(
        self, input_shape: tuple[int, ...], filters: int, window: Any, pool: Any, itemsize: int, n_threads: int, /
    ) -> None: ...
    def run(
        self, x: Floats, dy: Floats, kernel: Floats, dkernel: Floats | None, dx: Floats | None,
        winner: Winners | None, scratch: Floats, /,
    ) -> None: ...  # fmt: skip
