"""Training with L-BFGS: SciPy's minimiser on the objective of all rows at once, for small data.

It needs no learning rate, and reaches a minimum in few passes where all rows fit into memory with their maps. See
Liu and Nocedal, "On the limited memory BFGS method for large scale optimization", Math. Programming 45 (1989).
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from pyconvx._core.types import FloatArray
from pyconvx.layers import Dropout
from pyconvx.layers.sequence import leaves
from pyconvx.training.epoch import Epoch
from pyconvx.training.trainer import Trainer


@dataclass
class LBFGS:
    """Stands where a solver would: its memory is SciPy's, and no step is taken with it."""

    slots: int = 0


class FullBatchTrainer(Trainer):
    """Trains a network with L-BFGS; an epoch is one iteration, which may take several passes.

    It is made as `Trainer` is, with an `LBFGS` in place of the solver. The learning rate, its schedule, the size
    of batches and the order of rows have no effect.
    """

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._message = ""
        network = self.network
        drops = any(isinstance(layer, Dropout) and layer.rate > 0 for _, layer in leaves(network.layers))
        if drops or network.state_buffer.size:
            raise ValueError(
                "solver='lbfgs' minimises one function of the weights, which dropout and batch normalisation "
                "change from pass to pass: leave them out, or take another solver"
            )

    def run(
        self,
        max_epochs: int,
        score: Callable[[], float] | None = None,
        after_epoch: Callable[[Epoch], bool] | None = None,
        *,
        already: int = 0,
        reached: Callable[[int, bool], None] | None = None,
    ) -> tuple[int, bool]:
        """Train for at most `max_epochs` iterations; parameters and results are those of `Trainer.run`.

        It ends early at a minimum, to the precision of `tol`, or if the validation score no longer improves.
        """
        iterations = _Iterations(self, max_epochs, score, after_epoch)
        try:
            found = minimize(
                self._objective, iterations.kept.astype(np.float64), jac=True, method="L-BFGS-B",
                callback=iterations.after,
                options={"maxiter": max_epochs, "maxfun": self.options.max_fun, "gtol": self.options.tol or 0.0},
            )  # fmt: skip
        finally:
            self._trainable[:] = iterations.kept
        self._message = str(found.message).rstrip(" .")
        stopped = bool(found.success) or iterations.ended
        if reached is not None:
            reached(iterations.done, stopped)
        return iterations.done, stopped

    def why_unfinished(self, epochs: int) -> str:
        """Return why training ended, for a warning."""
        if "ITERATIONS" in self._message.upper() and "EXCEEDS" not in self._message.upper():
            return super().why_unfinished(epochs)
        return f"lbfgs ended before it converged ({self._message}): scale X, or raise max_fun or max_iter"

    def _objective(self, parameters: npt.NDArray[np.float64]) -> tuple[float, FloatArray]:
        """Return the objective of all rows and its gradient."""
        self._trainable[:] = parameters
        rows = np.arange(len(self.data), dtype=np.int64)
        known = self._passes.get(len(rows)) or self._record_pass(len(rows))
        self._gradients.fill(0)
        value, weight = known.run(rows)
        if not math.isfinite(value):
            raise self._divergence("the loss", value)
        value += self._decay(weight)
        return value, self._gradients.astype(np.float64)


class _Iterations:
    """What happens after each iteration of SciPy's minimiser."""

    def __init__(
        self,
        trainer: FullBatchTrainer,
        most: int,
        score: Callable[[], float] | None,
        after_epoch: Callable[[Epoch], bool] | None,
    ) -> None:
        self._trainer, self._most, self._score, self._after_epoch = trainer, most, score, after_epoch
        self.kept = trainer._trainable.copy()  # where the last whole iteration left the network
        self.done, self.ended = 0, False
        self._started = time.perf_counter()

    def after(self, intermediate_result: Any) -> None:
        """Check, score and record; StopIteration ends training, any other error leaves the last iteration."""
        trainer, state = self._trainer, self._trainer.state
        trainer._trainable[:] = intermediate_result.x
        trainer._check_finite()
        seconds = max(time.perf_counter() - self._started, 1e-9)
        value = None if self._score is None else self._score()
        self.done += 1
        state.epoch += 1
        state.samples_seen += len(trainer.data)
        epoch = Epoch(self.done, float(intermediate_result.fun), value, len(trainer.data) / seconds)
        trainer._record(epoch)
        self.kept[:] = trainer._trainable
        if trainer.options.verbose:
            print(epoch.line(self._most, state.epoch - self.done), flush=True)
        asked = self._after_epoch is not None and self._after_epoch(epoch)
        patience = trainer.options.early_stopping and state.no_improvement > trainer.options.n_iter_no_change
        self.ended = asked or patience
        self._started = time.perf_counter()
        if self.ended:
            raise StopIteration
