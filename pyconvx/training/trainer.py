"""The training loop: epochs of batches, each with forward, backward and a step of the solver.

The objective of a batch of n rows is ``(sum of w * loss + alpha / 2 * sum of squared kernel weights) /
(n * mean w)``, with the mean weight of all training rows. For a batch of all rows, or if all weights are 1, it is
that of scikit-learn's MLP. Divided by the sum of the batch's own weights, the effect of a weight would depend on
what else is in the batch: a row alone would have none. If anything interrupts an epoch, the network is left as the
last whole epoch left it.
"""

import math
import time
import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from pyconvx._core.arrays import all_finite
from pyconvx._core.caller import warn_caller
from pyconvx._core.threads import resolve_threads, threads_for
from pyconvx._core.types import FloatArray
from pyconvx.exceptions import DivergenceError, TrainingWarning
from pyconvx.layers import Randomness
from pyconvx.layers.sequence import fewest_rows
from pyconvx.losses import Loss
from pyconvx.network import Memory, Network
from pyconvx.ops import random
from pyconvx.ops.solver_steps import l2
from pyconvx.registry.guard import unguarded
from pyconvx.schedules import Progress, Schedule
from pyconvx.solvers import Solver
from pyconvx.training import averaging
from pyconvx.training.batch_pass import BatchPass
from pyconvx.training.batches import TrainingData
from pyconvx.training.epoch import Epoch
from pyconvx.training.options import TrainingOptions
from pyconvx.training.state import BestWeights, TrainingState, Weights

# If nothing improves and the rate is this small, training ends, as in scikit-learn's MLP.
_SMALLEST_RATE = 1e-6
# Above this alpha / (rows of a batch * mean weight) the penalty may outweigh the loss: a small net gets 0.90 of
# the digits right at 0.001, 0.89 at 0.008, 0.81 at 0.08, 0.26 at 0.8. With weights near 1 it was alpha's choice.
_SMALL_WEIGHT, _STRONG_PENALTY = 0.1, 1e-3
# Samples that each epoch's weights are tried on; weights that are too large spoil the outputs of any sample.
_TRIED = 16


class Trainer:
    """Trains a network on samples.

    Parameters
    ----------
    network : Network
    loss, solver, schedule : plugins
    state : TrainingState
        Where training goes on; changed in place.
    options : TrainingOptions
    data : TrainingData
    """

    def __init__(
        self,
        network: Network,
        loss: Loss,
        solver: Solver,
        schedule: Schedule,
        state: TrainingState,
        options: TrainingOptions,
        data: TrainingData,
    ) -> None:
        self.network, self.loss, self.solver, self.schedule = network, loss, solver, schedule
        self.state = state
        self.options = replace(options, n_threads=resolve_threads(options.n_threads))
        self.data = data
        self._max_epochs = options.max_epochs or 1
        self._told = False  # that the learning rate is 0
        self._fewest = self._check_rows()
        self._check_penalty()
        network.make_writable()
        state.adopt(solver, network.n_trainable)
        self._memory = Memory()
        self._gradients, self._named = network.gradients()
        self._trainable = network.buffer[: network.n_trainable]
        self._rates = network.rates(options.rate_factors)
        self._randomness = Randomness(state.seed)
        self._passes: dict[int, BatchPass] = {}  # by the number of rows
        self._tried = data.rows[data.weights > 0][:_TRIED]

    def _check_rows(self) -> int:
        """Return how many rows a batch needs; ValueError if no batch can have them."""
        fewest, layer = fewest_rows(self.network.layers, self.network.input_shape)
        rows, size = len(self.data), self.options.batch_size
        if min(rows, size) < fewest:
            given = f"there is {rows} row to train on" if rows < fewest else f"batch_size is {size}"
            raise ValueError(
                f"{layer} compares the rows of a batch and needs at least {fewest}, but {given}: use larger "
                "batches and more rows (16 or more learn well), or leave that layer out"
            )
        return fewest

    def _check_penalty(self) -> None:
        """Warn if weights are so small that the L2 penalty, which does not shrink with them, is too strong."""
        alpha, mean = self.options.alpha, float(self.data.weights.mean())
        strength = alpha / (mean * min(self.options.batch_size, len(self.data)))
        if mean < _SMALL_WEIGHT and strength > _STRONG_PENALTY:
            warn_caller(
                f"the mean weight of the rows is {mean:.3g}, so alpha={alpha:g} penalises like "
                f"alpha={alpha / mean:.3g} with weights of mean 1, which may outweigh what is to be learnt: pass "
                "sample_weight / sample_weight.mean(), or lower alpha",
                TrainingWarning,
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
        """Train for at most `max_epochs`.

        Parameters
        ----------
        score : callable, optional
            Returns the validation score of the network, greater is better; called after every epoch.
        after_epoch : callable, optional
            Gets every finished epoch; training stops if it returns True.
        already : int, default=0
            Epochs of the `max_epochs` that were run before.
        reached : callable, optional
            Called at the very end of an epoch, with the number of epochs so far and whether training ends early.

        Returns
        -------
        epochs : int
            Number of epochs so far.
        stopped : bool
            Whether training ended early.

        Raises
        ------
        DivergenceError
            If the loss, a weight or an output is no longer finite.
        """
        self._max_epochs = self.options.max_epochs or max_epochs
        for done in range(already + 1, max_epochs + 1):
            epoch, stalled = self._whole_epoch(done, score)
            if self.options.verbose:
                print(epoch.line(max_epochs, self.state.epoch - epoch.number), flush=True)
            stopped = (after_epoch is not None and after_epoch(epoch)) or stalled
            if reached is not None:
                reached(done, stopped)
            if stopped:
                return done, True
        return max_epochs, False

    def why_unfinished(self, epochs: int) -> str:
        """Return why training ended, for a warning; scikit-learn's words first."""
        return f"Maximum iterations ({epochs}) reached and the training hasn't converged yet: raise max_iter"

    def _stalled(self) -> bool:
        """Return whether training ends because nothing improves; a schedule may lower the rate instead."""
        if self.state.no_improvement <= self.options.n_iter_no_change:
            return False
        before = self._rate(0.0)
        self.state.stalls += 1
        if before <= _SMALLEST_RATE or self._rate(0.0) == before:
            return True
        self.state.no_improvement = 0
        return False

    def _rate(self, share: float, length: float = 0.0) -> float:
        """Return the learning rate of the next step, `share` of the way through the epoch and of this length."""
        state = self.state
        progress = Progress(
            step=state.step,
            epoch=state.epoch + share,
            max_epochs=self._max_epochs,
            samples_seen=state.samples_seen,
            stalls=state.stalls,
            length=length,
        )
        return self.options.learning_rate_init * self.schedule.factor(progress)

    def _whole_epoch(self, number: int, score: Callable[[], float] | None) -> tuple[Epoch, bool]:
        """Train, score and record one epoch; if anything is raised, everything is as it was before."""
        network, state = self.network, self.state
        before, weights = state.copy(), Weights.of(network)

        def restore() -> None:
            weights.put(network)
            state.restore(before)

        try:
            started = time.perf_counter()
            averaging.latest(state, network)
            value = self._epoch()
            self._check_finite()
            averaging.average(state, network, weights, self.options.averaging)
            speed = len(self.data) / max(time.perf_counter() - started, 1e-9)
            state.epoch += 1
            state.samples_seen += len(self.data)
            epoch = Epoch(number, value, None if score is None else score(), speed)
            self._record(epoch)
            return epoch, self._stalled()
        except BaseException:
            try:
                restore()
            except KeyboardInterrupt:  # Ctrl-C again
                restore()
            raise

    def _check_finite(self) -> None:
        """Raise DivergenceError if the epoch left numbers too large to go on training or to predict with."""
        network, threads = self.network, self.options.n_threads

        def check(what: str, numbers: FloatArray) -> None:
            if not all_finite(numbers, threads):
                raise self._divergence(what, math.nan)

        check("a weight", network.buffer)
        check("a running statistic", network.state_buffer)
        memory = Memory()
        x = memory.kept.take((len(self._tried), *network.input_shape), network.dtype)
        self.data.source.take(self._tried, x, threads)
        check("an output", network.forward(x, network.context(False, memory.kept, threads), memory))

    def _record(self, epoch: Epoch) -> None:
        """Add an epoch to the curves, and keep its weights if they are the best so far."""
        state, options = self.state, self.options
        state.record_loss(epoch.loss, options.tol, not options.early_stopping)
        if epoch.score is None:
            return
        better = state.record_score(epoch.score, options.tol, options.early_stopping)
        if better and options.early_stopping:
            state.best = BestWeights.of(self.network)

    def _epoch(self) -> float:
        """Train one epoch; return the mean of the objective over its rows."""
        order = self._order()
        size = self.options.batch_size
        total, weight = 0.0, 0.0
        for start, stop in self._batches(len(order), size):
            value, batch_weight = self._step(order[start:stop], start / len(order))
            total += value * batch_weight
            weight += batch_weight
        return total / weight

    def _batches(self, rows: int, size: int) -> list[tuple[int, int]]:
        """Return where each batch begins and ends; a last one with too few rows joins the one before."""
        starts = list(range(0, rows, size))
        if rows - starts[-1] < self._fewest:
            starts.pop()
        return list(zip(starts, [*starts[1:], rows], strict=True))

    def _order(self) -> npt.NDArray[np.int64]:
        """Return the order of the rows in this epoch; it depends on the seed and the epoch's number alone."""
        if not self.options.shuffle:
            return np.arange(len(self.data), dtype=np.int64)
        key = random.key(self.state.seed, zlib.crc32(b"shuffle"), self.state.epoch, 0)
        order = np.random.Generator(np.random.Philox(key=key)).permutation(len(self.data))
        return order.astype(np.int64, copy=False)

    def _step(self, positions: npt.NDArray[np.int64], share: float) -> tuple[float, float]:
        """Train on one batch; return its objective, and what the objective counts for in the epoch's mean."""
        network, state = self.network, self.state
        known = self._passes.get(len(positions)) or self._record_pass(len(positions))
        self._randomness.epoch = state.epoch
        self._gradients.fill(0)
        value, weight = known.run(positions)
        if not math.isfinite(value):
            raise self._divergence("the loss", value)
        value += self._decay(weight)
        rate = self._rate(share, len(positions) / len(self.data))
        if rate == 0.0 and not self._told:
            self._tell_of_zero(share)
        state.step += 1
        before = [self._trainable[place].copy() for place, _ in self._rates]
        self.solver.step(
            self._trainable, self._gradients, state.slots, rate, state.step,
            n_weights=network.n_weights, n_threads=self.options.n_threads,
        )  # fmt: skip
        for (place, factor), held in zip(self._rates, before, strict=True):
            # every step is proportional to its rate, so that a part of the step is a step with a part of the rate
            moved = self._trainable[place]
            moved -= held
            moved *= factor
            moved += held
        return value, weight

    def _tell_of_zero(self, share: float) -> None:
        """Warn, once, that steps change nothing."""
        self._told = True
        warn_caller(
            f"the learning rate is 0 from step {self.state.step + 1}, in epoch {self.state.epoch + 1}: nothing is "
            f"learnt as long as {unguarded(self.schedule)!r} gives the factor "
            f"{self._rate(share) / self.options.learning_rate_init:g}",
            TrainingWarning,
        )

    def _record_pass(self, size: int) -> BatchPass:
        """Make the pass for batches of so many rows."""

        def record() -> BatchPass:
            return BatchPass(
                self.network, self.loss, self.data, size, self._named, self._memory, self._randomness,
                self.options.n_threads,
            )  # fmt: skip

        record()  # finds out how much memory is needed; the second one gets it in one piece
        made = self._passes[size] = record()
        return made

    def _decay(self, weight: float) -> float:
        """Add the gradient of the L2 penalty; return the penalty's part of the objective."""
        alpha, n = self.options.alpha, self.network.n_weights
        if not alpha:
            return 0.0
        threads = threads_for(self._trainable.size, self.options.n_threads, "parameters")
        squares = l2(self._trainable, self._gradients, alpha / weight, n, threads)
        return 0.5 * alpha * squares / weight

    def _divergence(self, what: str, value: float) -> DivergenceError:
        """Return the error that says what became of which value, and what to try."""
        epoch = self.state.epoch
        kept = f"the weights after epoch {epoch}" if epoch else "the initial weights"
        return DivergenceError(
            f"{what} became {value} in epoch {epoch + 1}, step {self.state.step + 1}, with learning rate "
            f"{self._rate(0.0):.3g}; {kept} are kept. Try a smaller learning_rate_init, scaled inputs, "
            "or batch_norm=True"
        )
