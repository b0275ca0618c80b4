"""RMSprop (Tieleman and Hinton 2012, lecture 6e of "Neural Networks for Machine Learning")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy.typing as npt
from sklearn.base import BaseEstimator

from pyconvx._core.numbers import check_real
from pyconvx.ops import solver_steps
from pyconvx.solvers.base import check_step

__all__ = ["RMSprop"]


@dataclass
class RMSprop(BaseEstimator):
    """Steps along gradients divided by the root of a running mean of their squares.

    ``s = rho * s + (1 - rho) * g**2``, ``v = momentum * v - rate * g / (sqrt(s) + epsilon)``,
    ``p += v``.

    Parameters
    ----------
    rho : float, default=0.9
        Decay of the running mean, from 0 to below 1.
    epsilon : float, default=1e-8
        Keeps the quotient finite.
    momentum : float, default=0.0
        From 0 to 1.
    """

    rho: float = 0.9
    epsilon: float = 1e-8
    momentum: float = 0.0

    slots: ClassVar[int] = 2

    def step(
        self,
        parameters: npt.NDArray[Any],
        gradients: npt.NDArray[Any],
        slots: npt.NDArray[Any],
        learning_rate: float,
        t: int,
        *,
        n_weights: int,
        n_threads: int = 1,
    ) -> None:
        """Change the parameters in place; the slots hold s and v. See `Solver.step` for the arrays."""
        threads = check_step(self.slots, parameters, gradients, slots, learning_rate, t, n_weights, n_threads)
        check_real(least=0, below=1, rho=self.rho, momentum=self.momentum)
        check_real(epsilon=self.epsilon, above=0)
        solver_steps.rmsprop(
            parameters, gradients, slots[0], slots[1], learning_rate, (self.rho, self.epsilon, self.momentum),
            threads,
        )  # fmt: skip
