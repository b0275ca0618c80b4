"""What a solver is; this family's registry; the checks that all steps share."""

from typing import Any, ClassVar, Protocol

import numpy.typing as npt

from .._contracts import require
from .._guard import Guard, is_foreign, read_only
from .._threads import resolve_threads
from ..registry import Registry

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


registry: Registry[Solver] = Registry("pyconvx.solvers", _verify)


def take_step(
    solver: Solver,
    parameters: npt.NDArray[Any],
    gradients: npt.NDArray[Any],
    slots: npt.NDArray[Any],
    learning_rate: float,
    t: int,
    *,
    n_weights: int,
    n_threads: int,
) -> None:
    """The solver's step; PluginError or DivergenceError where another package's breaks its contract."""
    threads = {"n_weights": n_weights, "n_threads": n_threads}
    if not is_foreign(solver):
        solver.step(parameters, gradients, slots, learning_rate, t, **threads)
        return
    guard = Guard(registry, solver)
    found = guard.call("step", solver.step, parameters, read_only(gradients), slots, learning_rate, t, **threads)
    if found is not None:
        guard.refuse("step", found, "None: it changes the parameters in place")
    guard.finite("step", parameters, gradients)
    guard.finite("step (its slots)", slots, gradients)


def check_step(
    parameters: npt.NDArray[Any], gradients: npt.NDArray[Any], slots: npt.NDArray[Any], count: int
) -> None:
    """Raise ValueError where the arrays of a step do not fit together: kernels check nothing."""
    if gradients.shape != parameters.shape or slots.shape != (count, *parameters.shape):
        raise ValueError(
            f"{parameters.shape} parameters need gradients of that shape and slots of shape "
            f"{(count, *parameters.shape)}, got {gradients.shape} and {slots.shape}"
        )


def check_decay(**values: float) -> None:
    """Raise ValueError where the decay of a running mean is not from 0 to below 1."""
    for name, value in values.items():
        if not 0.0 <= value < 1.0:
            raise ValueError(f"{name} must be at least 0 and below 1, got {value!r}")


def threads_for(parameters: npt.NDArray[Any], n_threads: int) -> int:
    """Threads worth starting for one pass over the parameters."""
    threads = resolve_threads(n_threads)
    return threads if parameters.size >= SERIAL_PARAMETERS else 1
