"""Types of the compiled solver steps; see solver_steps.pyx for the formulas.

Flat C-contiguous arrays, all float32 or all float64.
"""

from typing import TypeVar

import numpy as np
import numpy.typing as npt

R = TypeVar("R", np.float32, np.float64)

LEVEL: str

def sgd(
    parameters: npt.NDArray[R], gradients: npt.NDArray[R], velocity: npt.NDArray[R], learning_rate: float,
    momentum: float, nesterov: bool, n_threads: int,
) -> None: ...  # fmt: skip
def adam(
    parameters: npt.NDArray[R], gradients: npt.NDArray[R], first: npt.NDArray[R], second: npt.NDArray[R],
    learning_rate: float, constants: tuple[float, float, float], decay: tuple[float, int], n_threads: int,
) -> None: ...  # fmt: skip
def rmsprop(
    parameters: npt.NDArray[R], gradients: npt.NDArray[R], square: npt.NDArray[R], velocity: npt.NDArray[R],
    learning_rate: float, constants: tuple[float, float, float], n_threads: int,
) -> None: ...  # fmt: skip
def l2(
    parameters: npt.NDArray[R], gradients: npt.NDArray[R], scale: float, n_weights: int, n_threads: int
) -> float: ...
