"""Adam (Kingma and Ba 2014, arXiv:1412.6980) and AdamW (Loshchilov and Hutter 2017, arXiv:1711.05101)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy.typing as npt
from sklearn.base import BaseEstimator

from pyconvx._core.numbers import check_real
from pyconvx.ops import solver_steps
from pyconvx.solvers.base import check_step

__all__ = ["Adam", "AdamW"]


@dataclass
class Adam(BaseEstimator):
    """Steps whose size does not depend on the scale of the gradient.

    ``m`` and ``s`` are running means of the gradient and of its square, and
    ``p -= rate * sqrt(1 - beta_2**t) / (1 - beta_1**t) * m / (sqrt(s) + epsilon)``: epsilon meets
    the uncorrected ``sqrt(s)``, as in section 2 of the paper and in scikit-learn's MLP.

    Parameters
    ----------
    beta_1, beta_2 : float, default=0.9, 0.999
        Decay of the running means of the gradient and of its square, from 0 to below 1.
    epsilon : float, default=1e-8
        Keeps the quotient finite.
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8

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
        """Change the parameters in place; the slots hold m and s. See `Solver.step` for the arrays."""
        threads = check_step(self.slots, parameters, gradients, slots, learning_rate, t, n_weights, n_threads)
        check_real(least=0, below=1, beta_1=self.beta_1, beta_2=self.beta_2)
        check_real(epsilon=self.epsilon, above=0)
        beta_1, beta_2, t = float(self.beta_1), float(self.beta_2), int(t)  # NumPy would compute in their types
        rate = float(learning_rate) * math.sqrt(1.0 - beta_2**t) / (1.0 - beta_1**t)
        solver_steps.adam(
            parameters, gradients, slots[0], slots[1], rate, (self.beta_1, self.beta_2, self.epsilon),
            (self._kept_by_decay(learning_rate), n_weights), threads,
        )  # fmt: skip

    def _kept_by_decay(self, learning_rate: float) -> float:
        """Return the factor that weight decay leaves of the weights in one step."""
        return 1.0


@dataclass
class AdamW(Adam):
    """Adam with weight decay apart from the gradient: kernels first shrink by ``rate * weight_decay``.

    Parameters
    ----------
    beta_1, beta_2, epsilon : float
        As for `Adam`.
    weight_decay : float, default=0.01
        Biases and norm parameters do not decay.
    """

    weight_decay: float = 0.01

    def _kept_by_decay(self, learning_rate: float) -> float:
        """Return ``1 - rate * weight_decay``."""
        check_real(weight_decay=self.weight_decay, least=0)
        return 1.0 - float(learning_rate) * float(self.weight_decay)
