"""What training carries from one epoch to the next, and from one call of fit or partial_fit to the next."""

from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from pyconvx._core.types import FloatArray
from pyconvx.network import Network
from pyconvx.registry.guard import unguarded
from pyconvx.solvers import Solver


@dataclass
class Weights:
    """All numbers of a network: parameters, and running statistics."""

    buffer: FloatArray
    state_buffer: FloatArray

    @classmethod
    def of(cls, network: Network) -> Self:
        """Return a copy of the numbers that the network has now."""
        return cls(network.buffer.copy(), network.state_buffer.copy())

    def put(self, network: Network) -> None:
        """Give the network these numbers."""
        network.buffer[:], network.state_buffer[:] = self.buffer, self.state_buffer


class BestWeights(Weights):
    """The weights with the best validation score so far."""


@dataclass
class TrainingState:
    """Counters, curves and the solver's memory; picklable, and all that a continued run needs.

    Parameters
    ----------
    seed : int
        Key of all random numbers.
    slots : array of shape (slots, n)
        The solver's memory.
    solver : str
        Name of the solver that the memory belongs to.
    latest : Weights, optional
        What training goes on from, while the network has the mean of the weights of several epochs.
    averaged : int
        How many epochs that mean is of.
    """

    seed: int
    slots: FloatArray
    solver: str = ""
    epoch: int = 0
    step: int = 0
    samples_seen: int = 0
    stalls: int = 0
    no_improvement: int = 0
    best_loss: float = np.inf
    best_score: float = -np.inf
    loss_curve: list[float] = field(default_factory=list)
    validation_scores: list[float] = field(default_factory=list)
    best: BestWeights | None = None
    latest: Weights | None = None
    averaged: int = 0

    def copy(self) -> "TrainingState":
        """Return a copy for `restore`; weights in it are shared, because nothing writes to them."""
        lists = {"loss_curve": list(self.loss_curve), "validation_scores": list(self.validation_scores)}
        return replace(self, slots=self.slots.copy(), **lists)  # type: ignore[arg-type]

    def restore(self, copy: "TrainingState") -> None:
        """Become what the state was when it was copied, in the same arrays."""
        self.slots[:] = copy.slots
        vars(self).update(vars(copy) | {"slots": self.slots})

    def adopt(self, solver: Solver, n: int) -> None:
        """Make the memory fit a solver: new if it was another solver's or not kept, a copy if it is read-only."""
        kind = type(unguarded(solver)).__qualname__
        if self.solver not in ("", kind) or self.slots.shape != (solver.slots, n):
            self.slots, self.step = np.zeros((solver.slots, n), self.slots.dtype), 0
        elif not self.slots.flags.writeable:
            self.slots = np.array(self.slots)
        self.solver = kind

    def record_loss(self, loss: float, tol: float | None, counts: bool) -> None:
        """Add an epoch's loss; if it `counts`, it decides whether training still improves; without tol it does."""
        tol = -np.inf if tol is None else tol
        self.loss_curve.append(loss)
        if counts:
            self.no_improvement = self.no_improvement + 1 if loss > self.best_loss - tol else 0
        self.best_loss = min(self.best_loss, loss)

    def record_score(self, score: float, tol: float | None, counts: bool) -> bool:
        """Add an epoch's validation score; return whether it is the best so far."""
        tol = -np.inf if tol is None else tol
        self.validation_scores.append(score)
        if counts:
            better = score >= self.best_score + tol  # which NaN is not
            self.no_improvement = 0 if better else self.no_improvement + 1
        improved = score > self.best_score
        if improved:
            self.best_score = score
        return improved
