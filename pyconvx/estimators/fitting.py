"""How an estimator trains its network: rows, loop, validation score, callbacks, fitted attributes."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from pyconvx._core.caller import warn_caller
from pyconvx._core.types import Array
from pyconvx.estimators import architecture, budget
from pyconvx.estimators.callbacks import FitTask, with_callbacks
from pyconvx.estimators.checkpoint import CheckpointWriter
from pyconvx.estimators.default_stack import is_row
from pyconvx.estimators.examples import Examples
from pyconvx.estimators.inspected import InspectedNetwork
from pyconvx.estimators.scoring import scorer_of
from pyconvx.estimators.targets import Targets
from pyconvx.schedules import uses_max_epochs
from pyconvx.training import FullBatchTrainer, Trainer, TrainingData, TrainingOptions
from pyconvx.training.epoch import Epoch


class TrainedNetwork(InspectedNetwork):
    """An estimator that trains a network."""

    def _prepared(
        self, data: Examples, targets: Targets, validation: Examples | None, n_iter: int
    ) -> tuple[Trainer, Examples | None]:
        """Return the loop for these rows and the rows that are scored; some are held out if that is asked for.

        The attributes are those of the `n_iter` epochs that were run.
        """
        index = np.flatnonzero(data.weights).astype(np.int64)
        if self.early_stopping and validation is None:
            index, held_out = targets.hold_out(data.targets, index, self.validation_fraction, self._state.seed)
            validation = data.take(held_out)
        trainer = self._trainer(data, index)
        self._publish(n_iter, validation)
        return trainer, validation

    def _wanted_epochs(self, weights: Array) -> int:
        """Return the number of epochs that `max_iter` stands for if rows have these weights."""
        rows = int(np.count_nonzero(weights))
        return budget.epochs(self.max_iter, rows, self._batch_size(rows))

    def _batch_size(self, rows: int) -> int:
        """Return the rows of a batch if there are so many in all."""
        if architecture.is_full_batch(self.solver):
            return rows
        return budget.batch_size(self.batch_size, rows, of_numbers=is_row(self.input_shape_))

    def _planned_epochs(self, wanted: int, done: int) -> int:
        """Return how many epochs this fit takes, with those `done` before it was cut off.

        Raises
        ------
        ValueError
            If the schedule has reached the end of the `wanted` epochs.
        """
        if not self._has_plan():
            return wanted
        before = self._state.epoch - done
        if before >= wanted:
            raise ValueError(
                f"learning_rate={self.learning_rate!r} spreads over max_iter={wanted} epochs, and "
                f"{before} were trained already: raise max_iter to go on, begin anew (fit with "
                "warm_start=False), or take a schedule that does not depend on max_iter"
            )
        return wanted - before

    def _check_part(self) -> None:
        """Refuse partial_fit with a plan of epochs that nobody knows the number of."""
        if self.max_iter == "auto" and self._has_plan():
            raise ValueError(
                f"learning_rate={self.learning_rate!r} spreads over max_iter epochs, and how many calls of "
                "partial_fit will follow max_iter='auto' cannot know: give their number as max_iter"
            )

    def _has_plan(self) -> bool:
        """Return whether the schedule makes `max_iter` the number of epochs that are wanted."""
        if architecture.is_full_batch(self.solver):
            return False  # no schedule has an effect
        return uses_max_epochs(architecture.make_schedule(self.__dict__))

    @with_callbacks  # type: ignore[untyped-decorator]  # tears callbacks down, however training ends
    def _train(
        self,
        trainer: Trainer,
        validation: Examples | None,
        data: Examples,
        epochs: int | None,
        saver: CheckpointWriter | None = None,
    ) -> None:
        """Run epochs and publish what came of them; `epochs` is None for the single one of partial_fit."""
        done_before = self.n_iter_ if epochs is None else 0
        before = self._state.epoch - (0 if saver is None else saver.done)
        task = FitTask(self, epochs or 1, data)
        if self.verbose and (epochs is not None or not self._state.epoch):
            print(f"{self.network_.n_parameters:,} parameters, {self.network_.dtype}, {self._threads()} thread(s)")

        def publish() -> None:
            self._publish(done_before + self._state.epoch - before, validation)

        try:
            stopped = self._run_epochs(trainer, scorer_of(self, validation), epochs or 1, task, publish, saver)
        except BaseException as error:
            try:
                publish()
            except KeyboardInterrupt:  # Ctrl-C again
                publish()
            if saver is not None and isinstance(error, KeyboardInterrupt):
                saver.save_pending(self, self._state.epoch - before)
            raise
        publish()
        if self.early_stopping and self._state.best is not None:
            self._state.best.put(self.network_)
            self._state.latest, self._state.averaged = None, 0
        task.end(self._fitted_attributes)
        enough = stopped or self.tol is None or self.max_iter == "auto" or self._has_plan()
        if epochs is not None and not enough:
            warn_caller(
                f"{trainer.why_unfinished(epochs)}. If this many epochs are what you want, set tol=None.",
                ConvergenceWarning,
            )

    def _run_epochs(
        self,
        trainer: Trainer,
        score: Callable[[], float] | None,
        epochs: int,
        task: FitTask,
        publish: Callable[[], None],
        saver: CheckpointWriter | None,
    ) -> bool:
        """Run the epochs that the checkpoint does not hold yet; returns whether training ended early."""
        if saver is not None:
            if saver.stopped is not None:
                return saver.stopped
            if not saver.done:
                saver.save(self, 0, now=True)

        def after_epoch(epoch: Epoch) -> bool:
            publish()
            stop = task.end_epoch(self._fitted_attributes, {})
            if not stop and epoch.number < epochs:
                task.begin_epoch()
            return stop

        def reached(done: int, stopped: bool) -> None:
            if saver is not None:
                ends = stopped or done == epochs
                saver.save(self, done, stopped if ends else None, now=ends)

        already = 0 if saver is None else saver.done
        return trainer.run(epochs, score, after_epoch, already=already, reached=reached)[1]

    def _trainer(self, data: Examples, index: Array) -> Trainer:
        """Return the loop for these rows."""
        params = self.__dict__
        wanted = self._wanted_epochs(data.weights)
        patience = budget.patience(self.n_iter_no_change, self.max_iter, wanted)
        settings = TrainingOptions(
            self._batch_size(len(index)), self.alpha, self.learning_rate_init, self.shuffle, self.tol, patience,
            self.early_stopping, self._threads(), bool(self.verbose), int(self.max_fun), self._averaging(),
            dict(self.rate_factors or {}), wanted,
        )  # fmt: skip
        solver, schedule = architecture.make_solver(params), architecture.make_schedule(params)
        rows = TrainingData(self._samples(data.X), index, data.targets[index], data.weights[index])
        kind = FullBatchTrainer if architecture.is_full_batch(self.solver) else Trainer
        return kind(self.network_, self._loss(), solver, schedule, self._state, settings, rows)

    def _averaging(self) -> float | None:
        """Return what the mean of the weights counts for after each epoch; None if nothing is averaged."""
        if self.averaging != "auto":
            return self.averaging if self.averaging is None else float(self.averaging)
        return 0.9 if self.network_.state_buffer.size else None

    def _publish(self, n_iter: int, validation: Examples | None) -> None:
        """Set the fitted attributes from the state of training."""
        state, scored, targets = self._state, validation is not None, self._target_type.of(self)
        attributes = {
            "n_iter_": n_iter,
            "t_": state.samples_seen,
            "loss_curve_": list(state.loss_curve),
            "loss_": state.loss_curve[-1] if state.loss_curve else np.inf,
            "best_loss_": None if self.early_stopping else state.best_loss,
            "validation_scores_": list(state.validation_scores) if scored else None,
            "best_validation_score_": state.best_score if scored else None,
            "n_parameters_": self.network_.n_parameters,
            "n_layers_": len(self.network_.layers),
            "n_outputs_": targets.n_outputs,
            "out_activation_": targets.out_activation,
        }
        self.__dict__.update(attributes)  # at once: Ctrl-C finds all of them, or none

    def _fitted_attributes(self) -> dict[str, Any]:
        """Return what a copy needs to predict as this estimator does now."""
        return {"network_": self.network_, **self._target_type.of(self).fitted()}
