"""Types of the compiled convolution; see conv.pyx for what each argument holds."""

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Winners = npt.NDArray[np.uint8]

LEVEL: str

class ConvForward:
    scratch: int
    def __init__(
        self, input_shape: tuple[int, ...], filters: int, window: Any, groups: int, pool: Any,
        itemsize: int, n_threads: int, /,
    ) -> None: ...  # fmt: skip
    def run(
        self, x: Floats, kernel: Floats, bias: Floats | None, y: Floats, activated: Floats | None,
        winner: Winners | None, activation: Any, scratch: Floats, /,
    ) -> None: ...  # fmt: skip
