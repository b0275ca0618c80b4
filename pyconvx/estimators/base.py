"""BaseCNN: what every estimator around a network is, whatever it predicts.

It knows scikit-learn's contract. A subclass names a `Targets` class, which knows its kind of y, and adds the
parameters and methods that belong to that kind.
"""

from contextlib import ExitStack
from typing import Any, Self

import numpy as np

from pyconvx._core.threads import one_more_training
from pyconvx._core.types import Array
from pyconvx.estimators import architecture, samples, transfer
from pyconvx.estimators.callbacks import CallbackSupportMixin
from pyconvx.estimators.checkpoint import CheckpointWriter, fingerprint_of
from pyconvx.estimators.constraints import check_parameters
from pyconvx.estimators.declaration import rules_of
from pyconvx.estimators.examples import Examples, check_together, shown
from pyconvx.estimators.fitting import TrainedNetwork
from pyconvx.estimators.targets import Targets, check_weights


def can_continue(estimator: Any) -> bool:
    """Raise AttributeError, which hides ``partial_fit``, for a solver that needs all rows at once."""
    if architecture.is_full_batch(estimator.solver):
        raise AttributeError("partial_fit needs a solver that takes single batches, solver='lbfgs' does not")
    return True


class BaseCNN(CallbackSupportMixin, TrainedNetwork):
    """Base of the estimators; a subclass names its `_target_type` and declares ``loss`` and its own parameters."""

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Self:
        """Train on images or signals.

        Parameters
        ----------
        X : array-like of shape (n, H, W, C), (n, H, W) or (n, features)
            With ``spatial_dims=1`` (n, length, channels) or (n, length). uint8 is scaled by 1/255; everything
            else is taken as it is.
        y : array-like of shape (n,)
            Labels, or numbers; for regression (n, k) too.
        sample_weight : array-like of shape (n,), optional
            Not negative; rows of weight 0 are as if absent, but have to be legal.
        X_val, y_val : array-like, optional
            Scored after every epoch; with early stopping they decide.
        sample_weight_val : array-like, optional

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If data or a parameter is not legal; scikit-learn's words.
        DivergenceError
            If the loss, a weight or an output becomes NaN or infinite; the weights of the last finite epoch
            are kept.
        CheckpointError
            If the checkpoint cannot be written, is another fit's, or another fit is writing it.

        Warns
        -----
        RuntimeWarning
            If a checkpoint could not be written; training goes on.
        ConvergenceWarning
            If max_iter epochs did not suffice.
        """
        self._check_parameters()
        check_together(X_val, y_val, sample_weight_val)
        going_on = self.warm_start and hasattr(self, "network_")
        with ExitStack() as held:
            held.enter_context(one_more_training())
            with self._unchanged_on_error():
                data, targets = self._training_data(X, y, sample_weight, going_on)
                dtype = self._dtype(data.X, going_on)
                validation = self._validation_data(X_val, y_val, sample_weight_val, targets, dtype)
                saver = None
                if self.checkpoint is not None:
                    start = [self.network_.buffer] if going_on else transfer.numbers_of(self.init_from)
                    data_of_fit = fingerprint_of(self, (data.X, data.y, data.weights, *start), validation)
                    saver = held.enter_context(CheckpointWriter(self.checkpoint, data_of_fit))
                wanted = self._wanted_epochs(data.weights)
                resumed = saver is not None and self.resume and saver.resume(self, targets, wanted)
                self._begin(data.X, targets, new=not (going_on or resumed))
                done = 0 if saver is None else saver.done
                epochs = self._planned_epochs(wanted, done)
                trainer, validation = self._prepared(data, targets, validation, done)
            self._train(trainer, validation, data, epochs, saver)
        return self

    def _partial_fit(self, X: Any, y: Any, targets: Targets | None, sample_weight: Any) -> Self:
        """Train one epoch; `targets` None takes those of the first call, which learns them of its y."""
        if self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True: it cannot hold rows out")
        first = not hasattr(self, "network_")
        with one_more_training():
            with self._unchanged_on_error():
                given, (X, y) = X, self._check_data(X, y, reset=first)
                sample_weight = check_weights(sample_weight, len(y))
                rows = np.flatnonzero(sample_weight)
                if targets is None:
                    targets = self._target_type.learn(y[rows]) if first else self._target_type.of(self)
                encoded = targets.encode_rows(y, rows, self._dtype(X, not first))
                weights = targets.weights(self, sample_weight, y)
                data = Examples(X, y, encoded, sample_weight, weights, shown(given, X))
                self._begin(X, targets, new=first)
                self._check_part()
                self._planned_epochs(self._wanted_epochs(weights), 0)
                trainer, _ = self._prepared(data, targets, None, 0 if first else self.n_iter_)
            self._train(trainer, None, data, None)
        return self

    def _dtype(self, X: Array, going_on: bool) -> np.dtype[Any]:
        """Return the precision that the network has, or will have."""
        return self.network_.dtype if going_on else samples.computing_dtype(self.dtype, X)

    def _check_data(self, X: Any, y: Any, *, reset: bool) -> tuple[Array, Array]:
        """Return X and y as arrays that fit together."""
        if y is None:
            self._target_type.check(self, np.empty(0), y)
        X = self._check_X(X, reset=reset)
        samples.check_cast(X, self._dtype(X, not reset))
        return X, self._target_type.check(self, X, y)

    def _training_data(self, X: Any, y: Any, sample_weight: Any, going_on: bool) -> tuple[Examples, Targets]:
        """Return the checked data, and what was learnt of y."""
        given, (X, y) = X, self._check_data(X, y, reset=not going_on)
        sample_weight = check_weights(sample_weight, len(y))
        rows = np.flatnonzero(sample_weight)
        targets = self._target_type.learn(y[rows])
        if going_on and not targets.same_as(before := self._target_type.of(self)):
            raise ValueError(
                f"warm_start can only be used where `y` has the same {targets.noun} as in the previous call to "
                f"fit. Previously got {before.shown()}, `y` has {targets.shown()}"
            )
        weights = targets.weights(self, sample_weight, y)
        encoded = targets.encode_rows(y, rows, self._dtype(X, going_on))
        return Examples(X, y, encoded, sample_weight, weights, shown(given, X)), targets

    def _validation_data(
        self, X_val: Any, y_val: Any, weights: Any, targets: Targets, dtype: np.dtype[Any]
    ) -> Examples | None:
        """Return the validation data that the user brought."""
        if X_val is None:
            return None
        X = self._check_X(X_val, reset=False, name="X_val")
        samples.check_cast(X, dtype)
        y = self._target_type.check(self, X, y_val, "y_val")
        weights = check_weights(weights, len(X), "sample_weight_val")
        rows = np.flatnonzero(weights)
        encoded = targets.encode_rows(y, rows, dtype, "y_val")
        given = Examples(X, y, encoded, weights, weights, shown(X_val, X))
        return given if len(rows) == len(X) else given.take(rows)

    def _begin(self, X: Array, targets: Targets, *, new: bool) -> None:
        """Make a new network, or refuse to go on with other layers."""
        if not new:
            self._check_same_layers(targets.n_outputs)
            self._freeze()
        else:
            self._make_network(X, targets.n_outputs)
            self.__dict__.update(targets.fitted())
        if not self.network_.n_trainable:
            raise ValueError(f"frozen={self.frozen!r} leaves nothing to train")

    def _check_parameters(self) -> None:
        """Refuse illegal constructor parameters."""
        check_parameters(self, self.__dict__, rules_of(type(self)))
        if self.resume and self.checkpoint is None:
            raise ValueError("resume=True needs a checkpoint to go on from: pass checkpoint=Checkpoint(path)")
        if self.checkpoint is not None and architecture.is_full_batch(self.solver):
            raise ValueError("solver='lbfgs' keeps no checkpoints, its memory is SciPy's: set checkpoint=None")
        if architecture.is_full_batch(self.solver) and self.rate_factors:
            raise ValueError("solver='lbfgs' has no learning rate, rate_factors have no effect: leave them out")
        if architecture.is_full_batch(self.solver) and self.averaging not in (None, "auto"):
            raise ValueError(
                f"solver='lbfgs' ends at a minimum, averaging={self.averaging!r} has no effect: leave it out"
            )
        self._threads()

    def __sklearn_tags__(self) -> Any:
        """Say that X is dense and finite: 2-D, and samples of three or four axes."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.sparse = False
        tags.input_tags.allow_nan = False
        return tags
