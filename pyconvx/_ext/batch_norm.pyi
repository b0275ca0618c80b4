"""Types of the compiled batch norm; see batch_norm.pyx for what each argument holds."""

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Doubles = npt.NDArray[np.float64]

LEVEL: str

class BatchNorm:
    scratch: int
    def __init__(self, N: int, P: int, C: int, itemsize: int, n_threads: int, /) -> None: ...
    def moments(self, x: Floats, moments: Doubles, scratch: Doubles, /) -> None: ...
    def apply(
        self, x: Floats, mean: Floats, scale: Floats, shift: Floats, y: Floats, activated: Floats | None,
        activation: Any, /,
    ) -> None: ...  # fmt: skip
    def backward(
        self, x: Floats, dy: Floats, moments: Doubles, gamma: Floats, dx: Floats, dgamma: Floats, dbeta: Floats,
        scratch: Doubles, /,
    ) -> None: ...  # fmt: skip
