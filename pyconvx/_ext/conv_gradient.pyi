"""Types of the compiled kernel gradients; see conv_gradient.pyx for what each argument holds."""

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Winners = npt.NDArray[np.uint8]

LEVEL: str

class ConvKernel:
    scratch: int
    def __init__(
        self, input_shape: tuple[int, ...], filters: int, window: Any, groups: int, pool: Any, itemsize: int,
        n_threads: int, /,
    ) -> None: ...  # fmt: skip
    def run(self, x: Floats, dy: Floats, dkernel: Floats, winner: Winners | None, scratch: Floats, /) -> None: ...

class BiasGradient:
    scratch: int
    def __init__(self, shape: tuple[int, ...], itemsize: int, n_threads: int, /) -> None: ...
    def run(self, dy: Floats, dbias: Floats, scratch: Floats, /) -> None: ...
