"""The training loop: epochs of batches, forward, backward, a solver step.

Objective of a batch, as in scikit-learn's MLP: ``(sum of w * loss + alpha / 2 * sum of squared kernel
weights) / sum of w``. Whatever interrupts an epoch, the network is left as the last whole epoch left it.
"""

import math
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pyconvx._core.arrays import all_finite
from pyconvx._core.threads import resolve_threads, threads_for
from pyconvx._core.types import Array, FloatArray
from pyconvx.exceptions import DivergenceError
from pyconvx.layers import Randomness
from pyconvx.losses import Loss
from pyconvx.network import Memory, Network
from pyconvx.ops import random
from pyconvx.ops.solver_steps import l2
from pyconvx.schedules import Progress, Schedule
from pyconvx.solvers import Solver
from pyconvx.training.batches import ArraySource
from pyconvx.training.state import BestWeights, TrainingState

# A stalled run whose rate is this small ends, as in scikit-learn's MLP.
_SMALLEST_RATE = 1e-6
# Samples that each epoch's weights are tried on; weights too large spoil the outputs of any.
_TRIED = 16


@dataclass(frozen=True)
class TrainingOptions:
    """Numbers that steer the loop; meanings as in `CNNClassifier`."""

    batch_size: int = 128
    alpha: float = 1e-4
    learning_rate_init: float = 1e-3
    shuffle: bool = True
    tol: float = 1e-4
    n_iter_no_change: int = 10
    early_stopping: bool = False
    n_threads: int = 1
    verbose: bool = False


@dataclass(frozen=True)
class Epoch:
    """What is told at the end of an epoch."""

    number: int
    loss: float
    score: float | None
    samples_per_second: float


class Trainer:
    """Trains a network on samples.

    Parameters
    ----------
    network : Network
    loss, solver, schedule : plugins
    state : TrainingState
        Continued, and changed in place.
    settings : TrainingOptions
    samples : ArraySource
    index : int64 array
        Rows to train on.
    targets : array of shape (len(index), ...)
        Encoded as the loss wants them; any shape and dtype.
    weights : array of shape (len(index),)
    """

    def __init__(
        self,
        network: Network,
        loss: Loss,
        solver: Solver,
        schedule: Schedule,
        state: TrainingState,
        settings: TrainingOptions,
        samples: ArraySource,
        index: npt.NDArray[np.int64],
        targets: Array,
        weights: FloatArray,
    ) -> None:
        self.network, self.loss, self.solver, self.schedule = network, loss, solver, schedule
        self.state = state
        self.settings = replace(settings, n_threads=resolve_threads(settings.n_threads))
        self.samples, self.index, self.targets, self.weights = samples, index, targets, weights
        self.max_epochs = 1
        network.make_writable()
        state.adopt(solver, network.n_trainable)
        self._memory = Memory()
        self._gradients, self._named = network.gradients()
        self._trainable = network.buffer[: network.n_trainable]
        self._tried = index[weights > 0][:_TRIED]

    def run(
        self,
        max_epochs: int,
        score: Callable[[], float] | None = None,
        after_epoch: Callable[[Epoch], bool] | None = None,
        *,
        already: int = 0,
        reached: Callable[[int, bool], None] | None = None,
    ) -> tuple[int, bool]:
        """Train for at most `max_epochs`.

        Parameters
        ----------
        score : callable, optional
            Validation score of the network as it is, greater is better; asked after every epoch.
        after_epoch : callable, optional
            Told of every epoch; True stops.
        already : int, default=0
            Epochs of the `max_epochs` that were run before.
        reached : callable, optional
            Told last of all at the end of an epoch: how many there were, and whether training ends early.

        Returns
        -------
        epochs : int
            How many there were.
        stopped : bool
            Whether training ended before they were used up.

        Raises
        ------
        DivergenceError
            If the loss, a weight or an output is no longer finite.
        """
        self.max_epochs = max_epochs
        for done in range(already + 1, max_epochs + 1):
            told, stalled = self._whole_epoch(done, score)
            if self.settings.verbose:
                print(_line(told, max_epochs), flush=True)
            stopped = (after_epoch is not None and after_epoch(told)) or stalled
            if reached is not None:
                reached(done, stopped)
            if stopped:
                return done, True
        return max_epochs, False

    def _stalled(self) -> bool:
        """Whether training ends for want of improvement; a schedule may lower the rate instead."""
        if self.state.no_improvement <= self.settings.n_iter_no_change:
            return False
        before = self._rate(0.0)
        self.state.stalls += 1
        if before <= _SMALLEST_RATE or self._rate(0.0) == before:
            return True
        self.state.no_improvement = 0
        return False

    def _rate(self, share: float) -> float:
        """Learning rate of the step that follows, `share` of the way through the epoch."""
        state = self.state
        progress = Progress(
            step=state.step,
            epoch=state.epoch + share,
            max_epochs=self.max_epochs,
            samples_seen=state.samples_seen,
            stalls=state.stalls,
        )
        return self.settings.learning_rate_init * self.schedule.factor(progress)

    def _whole_epoch(self, number: int, score: Callable[[], float] | None) -> tuple[Epoch, bool]:
        """Train, score and record one epoch, or none: whatever is raised, all stands as before it."""
        network, state = self.network, self.state
        before, weights, statistics = state.copy(), network.buffer.copy(), network.state_buffer.copy()

        def restore() -> None:
            network.buffer[:], network.state_buffer[:] = weights, statistics
            state.restore(before)

        try:
            started = time.perf_counter()
            value = self._epoch()
            self._check_finite()
            speed = len(self.index) / max(time.perf_counter() - started, 1e-9)
            state.epoch += 1
            state.samples_seen += len(self.index)
            told = Epoch(number, value, None if score is None else score(), speed)
            self._record(told)
            return told, self._stalled()
        except BaseException:
            try:
                restore()
            except KeyboardInterrupt:  # Ctrl-C again
                restore()
            raise

    def _check_finite(self) -> None:
        """Refuse an epoch that left numbers too large to train on with, or to predict with."""
        network, threads = self.network, self.settings.n_threads

        def check(what: str, numbers: FloatArray) -> None:
            if not all_finite(numbers, threads):
                raise self._divergence(what, math.nan)

        check("a weight", network.buffer)
        check("a running statistic", network.state_buffer)
        memory = self._memory
        memory.kept.reset()
        x = self._images(self._tried)
        check("an output", network.forward(x, network.context(False, memory.kept, threads), memory))

    def _record(self, epoch: Epoch) -> None:
        """Add an epoch to the curves, and keep its weights if they are the best so far."""
        state, settings = self.state, self.settings
        state.record_loss(epoch.loss, settings.tol, not settings.early_stopping)
        if epoch.score is None:
            return
        better = state.record_score(epoch.score, settings.tol, settings.early_stopping)
        if better and settings.early_stopping:
            state.best = BestWeights(self.network.buffer.copy(), self.network.state_buffer.copy())

    def _epoch(self) -> float:
        """Mean of the objective over the batches of one epoch."""
        order = self._order()
        size = self.settings.batch_size
        total, weight = 0.0, 0.0
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            value, batch_weight = self._step(rows, start / len(order))
            total += value * batch_weight
            weight += batch_weight
        return total / weight

    def _order(self) -> npt.NDArray[np.int64]:
        """Positions in the order of this epoch, from the seed and the epoch's number alone."""
        if not self.settings.shuffle:
            return np.arange(len(self.index), dtype=np.int64)
        key = random.key(self.state.seed, zlib.crc32(b"shuffle"), self.state.epoch, 0)
        order = np.random.Generator(np.random.Philox(key=key)).permutation(len(self.index))
        return order.astype(np.int64, copy=False)

    def _step(self, rows: npt.NDArray[np.int64], share: float) -> tuple[float, float]:
        """Train on one batch; returns its objective and the sum of its weights."""
        network, state, settings, memory = self.network, self.state, self.settings, self._memory
        memory.kept.reset()
        x = self._images(self._of(self.index, rows))
        weights = self._of(self.weights, rows)
        weight = float(weights.sum(dtype=np.float64))
        context = network.context(
            True, memory.kept, settings.n_threads, randomness=Randomness(state.seed, state.epoch, rows)
        )
        tape: list[Any] = []
        logits = network.forward(x, context, memory, tape)
        dlogits = memory.kept.take(logits.shape, logits.dtype)
        shares = np.divide(
            weights, weight, out=memory.kept.take(weights.shape, network.dtype), casting="same_kind"
        )
        value = self.loss.value_and_gradient(
            logits, self._of(self.targets, rows), shares, dlogits, n_threads=settings.n_threads
        )
        if not math.isfinite(value):
            raise self._divergence("the loss", value)
        self._gradients.fill(0)
        network.backward(dlogits, tape, self._named, context, memory)
        value += self._decay(weight)
        rate = self._rate(share)
        state.step += 1
        self.solver.step(
            self._trainable, self._gradients, state.slots, rate, state.step,
            n_weights=network.n_weights, n_threads=settings.n_threads,
        )  # fmt: skip
        return value, weight

    def _images(self, index: npt.NDArray[np.int64]) -> FloatArray:
        """The samples with these numbers, in memory that is kept."""
        x = self._memory.kept.take((len(index), *self.samples.shape), self.network.dtype)
        self.samples.take(index, x, self.settings.n_threads)
        return x

    def _of(self, array: npt.NDArray[Any], rows: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Return the rows of an array of any shape and dtype, in memory that is kept."""
        out = self._memory.kept.take((len(rows), *array.shape[1:]), array.dtype)
        return array.take(rows, axis=0, out=out, mode="clip")  # "raise", the default, would copy

    def _decay(self, weight: float) -> float:
        """Add the penalty's gradient; returns its share of the objective."""
        alpha, n = self.settings.alpha, self.network.n_weights
        if not alpha:
            return 0.0
        threads = threads_for(self._trainable.size, self.settings.n_threads, "parameters")
        squares = l2(self._trainable, self._gradients, alpha / weight, n, threads)
        return 0.5 * alpha * squares / weight

    def _divergence(self, what: str, value: float) -> DivergenceError:
        epoch = self.state.epoch
        kept = f"the weights after epoch {epoch}" if epoch else "the initial weights"
        return DivergenceError(
            f"{what} became {value} in epoch {epoch + 1}, step {self.state.step + 1}, with learning rate "
            f"{self._rate(0.0):.3g}; {kept} are kept. Try a smaller learning_rate_init, scaled inputs, "
            "or batch_norm=True"
        )


def _line(epoch: Epoch, max_epochs: int) -> str:
    """One line of verbose output."""
    width = len(str(max_epochs))
    score = "" if epoch.score is None else f"  score {epoch.score:.4f}"
    return (
        f"epoch {epoch.number:>{width}}/{max_epochs}  loss {epoch.loss:.5f}{score}  "
        f"{epoch.samples_per_second:,.0f} images/s"
    )
