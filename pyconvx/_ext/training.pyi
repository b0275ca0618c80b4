"""Loss, solver steps, batches; see training.pyx for the formulas.

float32 or float64 alike in all real arguments of a call (X of gather may differ); all arrays C-contiguous.
"""

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

R = TypeVar("R", np.float32, np.float64)

LEVEL: str

def sgd(
    parameters: npt.NDArray[R],
    gradients: npt.NDArray[R],
    velocity: npt.NDArray[R],
    learning_rate: float,
    momentum: float,
    nesterov: bool,
    n_threads: int,
) -> None: ...
def adam(
    parameters: npt.NDArray[R],
    gradients: npt.NDArray[R],
    first: npt.NDArray[R],
    second: npt.NDArray[R],
    learning_rate: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
    keep: float,
    n_weights: int,
    n_threads: int,
) -> None: ...
def rmsprop(
    parameters: npt.NDArray[R],
    gradients: npt.NDArray[R],
    square: npt.NDArray[R],
    velocity: npt.NDArray[R],
    learning_rate: float,
    rho: float,
    epsilon: float,
    momentum: float,
    n_threads: int,
) -> None: ...
def l2(
    parameters: npt.NDArray[R], gradients: npt.NDArray[R], scale: float, n_weights: int, n_threads: int
) -> float: ...
def all_finite(values: npt.NDArray[R], n_threads: int) -> bool: ...
def cross_entropy(
    logits: npt.NDArray[R],
    targets: npt.NDArray[np.int64],
    weights: npt.NDArray[R],
    smoothing: float,
    gradient: npt.NDArray[R],
    n_threads: int,
) -> float: ...
def gather(
    X: npt.NDArray[Any], index: npt.NDArray[np.int64], out: npt.NDArray[R], scale: float, n_threads: int
) -> None: ...
