"""Stochastic gradient descent with momentum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy.typing as npt
from sklearn.base import BaseEstimator

from pyconvx._core.numbers import check_real
from pyconvx.ops import solver_steps
from pyconvx.solvers.base import check_step

__all__ = ["SGD"]


@dataclass
class SGD(BaseEstimator):
    """``v = momentum * v - rate * g``; then ``p += v``, as in scikit-learn's MLP.

    Parameters
    ----------
    momentum : float, default=0.9
        From 0 to 1; 0 is plain gradient descent.
    nesterov : bool, default=True
        Step by ``momentum * v - rate * g`` with the new v, as if the gradient were that of the point
        where momentum leads (Sutskever et al. 2013).
    """

    momentum: float = 0.9
    nesterov: bool = True

    slots: ClassVar[int] = 1

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
        """Change the parameters in place; the slot holds v. See `Solver.step` for the arrays."""
        threads = check_step(self.slots, parameters, gradients, slots, learning_rate, t, n_weights, n_threads)
        check_real(least=0, below=1, momentum=self.momentum)
        solver_steps.sgd(parameters, gradients, slots[0], learning_rate, self.momentum, self.nesterov, threads)
