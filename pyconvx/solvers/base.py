"""The contract of solvers, their registry, and the checks that all steps share."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import numpy.typing as npt

from pyconvx._core.arrays import FLOATS, check_array
from pyconvx._core.numbers import as_int, require_real
from pyconvx._core.threads import resolve_threads, threads_for
from pyconvx.registry import Registry
from pyconvx.registry.contracts import require
from pyconvx.solvers.guarded import GuardedSolver

__all__ = ["Solver", "registry"]


class Solver(Protocol):
    """Turns gradients into steps; keeps nothing but its parameters between calls.

    A solver subclasses scikit-learn's BaseEstimator, so that `clone`, ``get_params`` and grids
    over ``solver__beta_1`` work. What it has to remember, it writes into the ``slots`` that it gets.
    """

    slots: ClassVar[int]

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
        """Change the parameters in place.

        Parameters
        ----------
        parameters : ndarray of shape (n,), float32 or float64
            Changed in place.
        gradients : ndarray of shape (n,), the same dtype
            Read only.
        slots : ndarray of shape (slots, n), the same dtype
            The solver's memory, all zero before the first step; changed in place.
        learning_rate : float
            The learning rate of this step.
        t : int
            Number of this step, from 1.
        n_weights : int
            The first ``n_weights`` parameters are kernels; only these may decay.
        n_threads : int, default=1
            May not change the result.
        """
        ...


def _verify(plugin: object) -> None:
    """Raise TypeError unless the plugin has slots, a step and scikit-learn's parameters."""
    count = getattr(plugin, "slots", None)
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise TypeError(f"{plugin!r} needs a class attribute slots, the number of its arrays, got {count!r}")
    require(plugin, Solver.step)
    for name in ("get_params", "set_params"):
        if not callable(getattr(plugin, name, None)):
            raise TypeError(f"{plugin!r} has no {name}: subclass sklearn.base.BaseEstimator")


registry: Registry[Solver] = Registry("pyconvx.solvers", _verify, GuardedSolver)


def check_step(
    count: int,
    parameters: npt.NDArray[Any],
    gradients: npt.NDArray[Any],
    slots: npt.NDArray[Any],
    learning_rate: float,
    t: int,
    n_weights: int,
    n_threads: int,
) -> int:
    """Validate the arguments of a step, since kernels do not; return the number of threads to use."""
    check_array("parameters", parameters, FLOATS, 1, written=True)
    check_array("gradients", gradients, (parameters.dtype,), 1)
    check_array("slots", slots, (parameters.dtype,), 2, written=True)
    if gradients.shape != parameters.shape or slots.shape != (count, *parameters.shape):
        raise ValueError(
            f"{parameters.shape} parameters need gradients of that shape and slots of shape "
            f"{(count, *parameters.shape)}, got {gradients.shape} and {slots.shape}"
        )
    require_real("learning_rate", learning_rate)
    as_int("t", t, 1)
    if as_int("n_weights", n_weights, 0) > len(parameters):
        raise ValueError(f"n_weights must be at most {len(parameters)}, the parameters, got {n_weights}")
    return threads_for(parameters.size, resolve_threads(n_threads), "parameters")
