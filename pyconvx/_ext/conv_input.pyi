"""Types of the compiled gradient of a convolution's input; see conv_input.pyx for what each argument holds."""

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Winners = npt.NDArray[np.uint8]

LEVEL: str

class ConvInput:
    scratch: int
    def __init__(
        self, input_shape: tuple[int, ...], filters: int, window: Any, groups: int, pool: Any, itemsize: int,
        n_threads: int, /,
    ) -> None: ...  # fmt: skip
    def run(self, dy: Floats, kernel: Floats, dx: Floats, winner: Winners | None, scratch: Floats, /) -> None: ...
