"""A network in an estimator: data in, the network, its outputs, a file of it all."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from pyconvx._core.arrays import all_finite
from pyconvx._core.threads import resolve_threads
from pyconvx._core.types import Array, FloatArray, Shape
from pyconvx.estimators import architecture, notices, samples, transfer
from pyconvx.estimators.parameters import TrainingParameters
from pyconvx.estimators.predictor import CompiledPredictor, network_outputs
from pyconvx.estimators.saving import saved
from pyconvx.estimators.targets import Targets
from pyconvx.exceptions import DivergenceError, ModelFileError
from pyconvx.network import CompiledNetwork, Network
from pyconvx.persistence import StrPath, pack, write_file
from pyconvx.training import ArraySource, BestWeights, TrainingState

FORMAT_VERSION = 1


def _load(path: Any) -> Any:
    """Read a model file; what reads it knows all estimators, which stand on this one."""
    return importlib.import_module("pyconvx.estimators.loading").load(path)


class FittedNetwork(TrainingParameters):
    """An estimator with a network."""

    _target_type: ClassVar[type[Targets]]
    network_: Network
    input_shape_: Shape
    scales_uint8_: bool
    input_scale_: float
    n_iter_: int
    _state: TrainingState
    _known: tuple[Any, Array]  # while a scorer runs

    @contextmanager
    def _unchanged_on_error(self) -> Iterator[None]:
        """Leave the estimator as it was, fitted or not, if something is refused before training begins."""
        before = dict(vars(self))
        try:
            yield
        except BaseException:
            self.__dict__ = before
            raise

    def _check_X(self, X: Any, *, reset: bool, name: str = "X") -> Array:
        """Return X as an array that this estimator takes; with `reset` its shape and kind are remembered."""
        known = vars(self).get("_known")
        if known is not None and X is known[0]:
            return known[1]  # type: ignore[no-any-return]
        checked = samples.check_samples(self, X, reset=reset, name=name)
        if reset:
            self.input_shape_ = samples.first_shape(self, checked)
            automatic = isinstance(self.input_scale, str)
            self.scales_uint8_ = automatic and checked.dtype == np.uint8
            self.input_scale_ = (1 / 255 if self.scales_uint8_ else 1.0) if automatic else float(self.input_scale)
            notices.of_shape(self, checked)
            notices.of_scale(self, checked)
        else:
            samples.check_same_shape(self, checked, name)
            samples.check_same_kind(self, checked, name)
        return checked

    @contextmanager
    def _checked_already(self, given: Any, checked: Array) -> Iterator[None]:
        """Take `checked` wherever `given` itself is passed as X."""
        self._known = (given, checked)
        try:
            yield
        finally:
            del self._known

    def _samples(self, X: Array) -> ArraySource:
        """Return rows of X as samples."""
        first = self.data_format == "channels_first"
        return ArraySource(X, self.input_shape_, channels_first=first, scale=self.input_scale_)

    def _make_network(self, X: Array, n_outputs: int) -> None:
        """Make a network with new weights, and a state of training that begins."""
        params = self.__dict__  # not `get_params`: a subclass may have other parameters
        seed = int(check_random_state(params["random_state"]).randint(np.iinfo(np.int32).max))
        layers = self._layers(self.input_shape_, n_outputs)
        notices.of_output_layer(layers[:-1], n_outputs)
        dtype = samples.computing_dtype(params["dtype"], X)
        network = Network(
            layers, self.input_shape_, initializer=params["initializer"], dtype=dtype, seed=seed,
            frozen=architecture.frozen_names(self.frozen),
        )  # fmt: skip
        if self.init_from is not None:
            network.take(transfer.arrays_for(network, self.init_from, _load))
        solver = architecture.make_solver(params)
        slots = np.zeros((solver.slots, network.n_trainable), dtype)
        self.network_, self._state = network, TrainingState(seed, slots)

    def _layers(self, input_shape: Shape, n_outputs: int) -> tuple[Any, ...]:
        """Return all layers for these parameters."""
        hidden = architecture.hidden_layers(self.__dict__, input_shape)
        return (*hidden, architecture.output_layer(n_outputs))

    def _freeze(self) -> None:
        """Take up another choice of frozen layers: the same numbers in another order, and new slots."""
        names, network = architecture.frozen_names(self.frozen), self.network_
        if set(names) == set(network.frozen):
            return
        arrays = dict(network.parameters)
        made = Network.from_arrays(network.layers, network.input_shape, arrays, dtype=network.dtype, frozen=names)
        slots = np.zeros((0, made.n_trainable), made.dtype)  # `Trainer` makes it as large as the solver needs
        best = None if self._state.best is None else BestWeights.of(made)
        kept = replace(self._state.copy(), slots=slots, best=best, latest=None, averaged=0)
        self.network_, self._state = made, kept

    def _check_same_layers(self, n_outputs: int) -> None:
        """Refuse to go on with other layers, or in another precision, than training began with."""
        if self.dtype is not None and np.dtype(self.dtype) != self.network_.dtype:
            raise ValueError(
                f"dtype={self.dtype!r}, but this estimator was fitted in {self.network_.dtype}: "
                "set warm_start=False to start anew"
            )
        if self._layers(self.input_shape_, n_outputs) != self.network_.layers:
            raise ValueError(
                "the parameters describe other layers than this estimator was fitted with: "
                "set warm_start=False to start anew, or restore them"
            )

    def _loss(self) -> Any:
        """Return the loss that training minimises."""
        return architecture.make_loss(self.loss)

    def _threads(self) -> int:
        """Return the number of threads for this call."""
        return resolve_threads(self.n_jobs, name="n_jobs")

    def _outputs(self, X: Any) -> FloatArray:
        """Return the network's outputs, before any output activation, of shape (n, n_outputs)."""
        targets = self._target_type.of(self)
        if self.network_.output_shape != (targets.n_outputs,):  # somebody has changed an attribute
            raise ValueError(f"{targets}, but the network gives {self.network_.output_shape[0]}: fit again")
        checked = self._check_X(X, reset=False)
        samples.check_cast(checked, self.network_.dtype)
        return self._run(checked)

    def _run(self, X: Array) -> FloatArray:
        """Return outputs for samples that were checked."""
        outputs = network_outputs(CompiledNetwork(self.network_, self._threads()), self._samples(X))
        if not all_finite(outputs):
            raise DivergenceError(
                f"the network's outputs are NaN or infinite: its weights, or the {samples.noun(self)}, are too "
                f"large for {outputs.dtype}. Fit with a smaller learning_rate_init, scaled inputs, "
                "or batch_norm=True"
            )
        return outputs

    def compile_predictor(self) -> CompiledPredictor:
        """Compile the network as it is now, for the shortest time between a sample and its prediction.

        Batch norm is folded into the convolutions, kernels are transformed, and memory is allocated once.

        Returns
        -------
        callable
            ``predictor(X)`` gives what the loss makes of the network's outputs, in the network's precision:
            probabilities of shape (n, n_classes), or numbers in the form of y. X is an array of the shape that
            the estimator was fitted to; values are not checked.

        Examples
        --------
        >>> import numpy as np
        >>> from pyconvx import CNNClassifier
        >>> X = np.random.default_rng(0).integers(0, 255, (20, 8, 8, 1), np.uint8)
        >>> clf = CNNClassifier(filters=(4,), tol=1.0, n_iter_no_change=2, random_state=0).fit(X, [0, 1] * 10)
        >>> predictor = clf.compile_predictor()
        >>> predictor(X[:1]).shape
        (1, 2)
        """
        check_is_fitted(self)
        return CompiledPredictor(
            CompiledNetwork(self.network_, self._threads()), self._loss(), self._target_type.of(self),
            samples.ordered(self, self.input_shape_), scale=self.input_scale_,
            uint8=self.scales_uint8_ if isinstance(self.input_scale, str) else None,
            first=self.data_format == "channels_first",
        )  # fmt: skip

    def save(self, path: StrPath, *, for_training: bool = False) -> None:
        """Write the fitted estimator to a file, which `pyconvx.load` reads.

        The file holds parameters, weights, curves and counters; no code. It is replaced as a whole or, whatever
        happens, left as it was.

        Parameters
        ----------
        path : str or path-like
        for_training : bool, default=False
            Whether to write the solver's memory too, of the size of the weights or twice that. Training then
            goes on bit for bit as it would have here; without it the solver begins anew from these weights.

        Raises
        ------
        NotFittedError
            Before `fit`.
        TypeError
            If a parameter is a function, or an object that no registered name leads to; for a subclass from
            elsewhere.
        OSError
            If the file cannot be written.

        Examples
        --------
        >>> import numpy as np, pyconvx, tempfile
        >>> from pyconvx import CNNClassifier
        >>> X = np.random.default_rng(0).random((20, 8, 8), np.float32)
        >>> clf = CNNClassifier(filters=(4,), tol=1.0, n_iter_no_change=2, random_state=0).fit(X, [0, 1] * 10)
        >>> path = tempfile.mkdtemp() + "/model.pyconvx"
        >>> clf.save(path)
        >>> bool((pyconvx.load(path).predict(X) == clf.predict(X)).all())
        True
        """
        check_is_fitted(self)
        kind = type(self)
        if kind.__module__.partition(".")[0] != "pyconvx":
            raise TypeError(
                f"a model file holds an estimator of pyconvx, and {kind.__name__} is a class of "
                f"{kind.__module__}, which loading would not find: use pickle, or train one of pyconvx's own"
            )
        write_file(path, pack(*saved(self, for_training=for_training)))

    def __sklearn_is_fitted__(self) -> bool:
        """Return whether there is a network."""
        return hasattr(self, "network_")

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes and the version of their format."""
        state: dict[str, Any] = dict(super().__getstate__())
        state.pop("_known", None)
        return state | {"_pyconvx_format": FORMAT_VERSION}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        version = state.pop("_pyconvx_format", None)
        if not isinstance(version, int) or version > FORMAT_VERSION:
            raise ModelFileError(
                f"this {type(self).__name__} was pickled in format {version}, this pyconvx reads up to format "
                f"{FORMAT_VERSION}: install a newer pyconvx"
            )
        super().__setstate__(state)
