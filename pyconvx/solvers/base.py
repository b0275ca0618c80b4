"""What a solver is; this family's registry; the checks that all steps share."""

from typing import Any, ClassVar, Protocol

import numpy.typing as npt

from pyconvx._core.arrays import FLOATS, check_array
from pyconvx._core.numbers import as_int, require_real
from pyconvx._core.threads import resolve_threads
from pyconvx.registry import Registry
from pyconvx.registry.contracts import require
from pyconvx.solvers.guarded import GuardedSolver

__all__ = ["Solver", "registry"]

# below this a thread would wait longer for its start than it works
SERIAL_PARAMETERS = 32_768


class Solver(Protocol):
    """Turns gradients into steps; keeps nothing between calls but its parameters.

    A solver subclasses scikit-learn's BaseEstimator, so that `clone`, ``get_params`` and grids
    over ``solver__beta_1`` work. What it remembers stands in the ``slots`` that it is handed.
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
            Not written.
        slots : ndarray of shape (slots, n), the same dtype
            The solver's memory, all zero before the first step; changed in place.
        learning_rate : float
            This step's.
        t : int
            Number of the step, from 1.
        n_weights : int
            The first ``n_weights`` parameters are kernels; weight decay applies to them alone.
        n_threads : int, default=1
            May not change the result.
        """
        ...


def _verify(plugin: object) -> None:
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
    """The threads worth starting for a step; an error where its arguments are not legal: kernels check nothing."""
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
    return threads_for(parameters, n_threads)


def threads_for(parameters: npt.NDArray[Any], n_threads: int) -> int:
    """Threads worth starting for one pass over the parameters."""
    threads = resolve_threads(n_threads)
    return threads if parameters.size >= SERIAL_PARAMETERS else 1
