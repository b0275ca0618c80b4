"""Types of the compiled dense layers; see dense.pyx for what each argument holds."""

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]

LEVEL: str

class DenseForward:
    scratch: int
    def __init__(self, N: int, inputs: int, outputs: int, itemsize: int, n_threads: int, /) -> None: ...
    def run(
        self, x: Floats, w: Floats, bias: Floats | None, y: Floats, activated: Floats | None, activation: Any,
        scratch: Floats, /,
    ) -> None: ...  # fmt: skip

class DenseInput:
    scratch: int
    def __init__(self, N: int, inputs: int, outputs: int, itemsize: int, n_threads: int, /) -> None: ...
    def run(self, dy: Floats, w: Floats, dx: Floats, scratch: Floats, /) -> None: ...

class DenseWeights:
    scratch: int
    def __init__(self, N: int, inputs: int, outputs: int, itemsize: int, n_threads: int, /) -> None: ...
    def run(self, x: Floats, dy: Floats, dw: Floats, scratch: Floats, /) -> None: ...
