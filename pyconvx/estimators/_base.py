"""What every estimator around a network shares: data in, the network, its outputs in batches."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from pyconvx._core.arrays import all_finite
from pyconvx._core.threads import resolve_threads
from pyconvx._core.types import Array, FloatArray, Shape
from pyconvx.estimators import _images, _stack
from pyconvx.estimators.predictor import network_outputs
from pyconvx.exceptions import DivergenceError, ModelFileError
from pyconvx.inspection.summary import Summary
from pyconvx.network import CompiledNetwork, Memory, Network
from pyconvx.training import ArraySource, TrainingState

FORMAT_VERSION = 1
_BATCH_BYTES = 1 << 25  # memory of the maps that a batch of predictions may take
_MOST_ROWS = 512


class ImageNetwork(BaseEstimator):
    """An estimator with a network; the parameters are those of `CNNClassifier`."""

    network_: Network
    input_shape_: tuple[int, int, int]
    scales_uint8_: bool
    _state: TrainingState

    @contextmanager
    def _unchanged_on_error(self) -> Iterator[None]:
        """What is refused before training begins leaves the estimator as it was, fitted or not."""
        kept = dict(vars(self))
        try:
            yield
        except BaseException:
            self.__dict__ = kept
            raise

    def _check_X(self, X: Any, *, reset: bool, name: str = "X") -> Array:
        """X as an array that this estimator takes; with `reset` its shape and kind are remembered."""
        images = _images.check_images(self, X, reset=reset)
        if reset:
            self.input_shape_ = _images.first_shape(self, images)  # type: ignore[assignment]
            self.scales_uint8_ = images.dtype == np.uint8
        else:
            _images.check_same_shape(self, images)
            _images.check_same_kind(self, images, name)
        return images

    def _samples(self, X: Array) -> ArraySource:
        """Rows of X as images."""
        params: Any = self
        return ArraySource(X, self.input_shape_, channels_first=params.data_format == "channels_first")

    def _make_network(self, X: Array, n_outputs: int) -> None:
        """A network with new weights, and training from the start."""
        params = self.get_params(deep=False)
        seed = int(check_random_state(params["random_state"]).randint(np.iinfo(np.int32).max))
        layers = self._layers(self.input_shape_, n_outputs)
        dtype = _images.computing_dtype(params["dtype"], X)
        network = Network(layers, self.input_shape_, initializer=params["initializer"], dtype=dtype, seed=seed)
        solver = _stack.make_solver(params)
        slots = np.zeros((solver.slots, network.n_trainable), dtype)
        self.network_, self._state = network, TrainingState(seed, slots)

    def _layers(self, input_shape: Shape, n_outputs: int) -> tuple[Any, ...]:
        """All layers for these parameters."""
        hidden = _stack.hidden_layers(self.get_params(deep=False), input_shape)
        return (*hidden, _stack.output_layer(n_outputs))

    def _check_same_layers(self, n_outputs: int) -> None:
        """Refuse to go on with other layers, or in another precision, than training began with."""
        params: Any = self
        if params.dtype is not None and np.dtype(params.dtype) != self.network_.dtype:
            raise ValueError(
                f"dtype={params.dtype!r}, but this estimator was fitted in {self.network_.dtype}: "
                "set warm_start=False to start anew"
            )
        if self._layers(self.input_shape_, n_outputs) != self.network_.layers:
            raise ValueError(
                "the parameters describe other layers than this estimator was fitted with: "
                "set warm_start=False to start anew, or restore them"
            )

    def _threads(self) -> int:
        """Threads for this call."""
        params: Any = self
        return resolve_threads(params.n_jobs, name="n_jobs")

    def _batches(self, X: Array) -> Iterator[tuple[slice, FloatArray]]:
        """X in batches of images whose maps fit into bounded memory."""
        threads, network = self._threads(), self.network_
        samples = self._samples(X)
        largest = max(math.prod(shape) for shape in (network.input_shape, *network.shapes))
        rows = min(_MOST_ROWS, max(1, _BATCH_BYTES // (2 * largest * network.dtype.itemsize)))
        for start in range(0, len(X), rows):
            part = slice(start, min(start + rows, len(X)))
            images = np.empty((part.stop - start, *network.input_shape), network.dtype)
            samples.take(np.arange(start, part.stop, dtype=np.int64), images, threads)
            yield part, images

    def _outputs(self, X: Any) -> FloatArray:
        """The network's outputs, before any output activation, (n, n_outputs)."""
        images = self._check_X(X, reset=False)
        _images.check_cast(images, self.network_.dtype)
        return self._run(images)

    def _run(self, images: Array) -> FloatArray:
        """Outputs for images that were checked."""
        outputs = network_outputs(CompiledNetwork(self.network_, self._threads()), self._samples(images))
        if not all_finite(outputs):
            raise DivergenceError(
                "the network's outputs are NaN or infinite: its weights, or the images, are too large for "
                f"{outputs.dtype}. Fit with a smaller learning_rate_init, scaled inputs, or batch_norm=True"
            )
        return outputs

    def feature_maps(self, X: Any, layer: str | int) -> FloatArray:
        """Output of one layer, such as a convolution's activation maps.

        Parameters
        ----------
        X : array-like
            Images, as for predict.
        layer : str or int
            A name from ``network_.names`` or its place; negative places count from the end.

        Returns
        -------
        array of shape (n, H, W, C) or (n, features)

        Raises
        ------
        ValueError
            If there is no such layer, or X does not fit.
        """
        check_is_fitted(self)
        network = self.network_
        place = self._place(layer)
        images = self._check_X(X, reset=False)
        _images.check_cast(images, network.dtype)
        memory = Memory()
        context = network.context(False, memory.kept, self._threads())
        maps = np.empty((len(images), *network.shapes[place]), network.dtype)
        for part, batch in self._batches(images):
            maps[part] = network.layer_output(batch, place, context, memory)
        return maps

    def _place(self, layer: str | int) -> int:
        """Index of a layer given by name or place."""
        names = self.network_.names
        if isinstance(layer, str):
            if layer not in names:
                raise ValueError(f"no layer {layer!r}; there are {', '.join(names)}")
            return names.index(layer)
        if isinstance(layer, (bool, np.bool_)) or not isinstance(layer, Integral):
            raise TypeError(f"layer must be a name or a place, got {layer!r}")
        if not -len(names) <= layer < len(names):
            raise ValueError(f"no layer {layer}: there are {len(names)}, {', '.join(names)}")
        return int(layer) % len(names)

    def summary(self, input_shape: Shape | None = None, n_classes: int = 10) -> Summary:
        """Table of the layers: output shape, parameters, operations, receptive field, memory.

        Parameters
        ----------
        input_shape : (H, W) or (H, W, C), optional
            Needed before fit only, in the order of `data_format`.
        n_classes : int, default=10
            Units of the output layer, before fit.

        Returns
        -------
        Summary
            Prints as text, shows as a table in notebooks.

        Raises
        ------
        ValueError
            If neither fitted nor given a shape, or a layer cannot take its input.
        """
        if input_shape is None and hasattr(self, "network_"):
            network = self.network_
            return Summary(network.layers, network.input_shape, network.dtype)
        if input_shape is None:
            raise ValueError("before fit, give a shape: summary((28, 28, 1))")
        params: Any = self
        if not _images.SHAPE_RULES["image_shape"].accepts(input_shape):
            raise ValueError(f"input_shape must be (H, W) or (H, W, C), ints of at least 1, got {input_shape!r}")
        shape = _images.channels_last(tuple(int(size) for size in input_shape), params.data_format)
        return Summary(self._layers(shape, n_classes), shape, params.dtype or np.float32)

    def __sklearn_is_fitted__(self) -> bool:
        """Whether there is a network."""
        return hasattr(self, "network_")

    def __getstate__(self) -> dict[str, Any]:
        """The attributes and the version of their format."""
        state: dict[str, Any] = dict(super().__getstate__())
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
