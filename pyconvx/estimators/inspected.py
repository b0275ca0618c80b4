"""A look into an estimator: the output of any of its layers, and the table of all of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from pyconvx._core.types import Array, FloatArray, Shape
from pyconvx.estimators import samples
from pyconvx.estimators.declaration import rules_of
from pyconvx.estimators.fitted import FittedNetwork
from pyconvx.inspection.summary import Summary
from pyconvx.network import Memory

_BATCH_BYTES = 1 << 25  # memory of the maps that a batch may take
_MOST_ROWS = 512


class InspectedNetwork(FittedNetwork):
    """An estimator that shows its layers."""

    def feature_maps(self, X: Any, layer: str | int) -> FloatArray:
        """Return the output of one layer, such as a convolution's activation maps.

        Parameters
        ----------
        X : array-like
            As for `predict`.
        layer : str or int
            A name from ``network_.names`` or its place; negative places count from the end.

        Returns
        -------
        array of shape (n, H, W, C), (n, length, channels) or (n, features)

        Raises
        ------
        ValueError
            If there is no such layer, or X does not fit.
        """
        check_is_fitted(self)
        network = self.network_
        place = self._place(layer)
        checked = self._check_X(X, reset=False)
        samples.check_cast(checked, network.dtype)
        memory = Memory()
        context = network.context(False, memory.kept, self._threads())
        maps = np.empty((len(checked), *network.shapes[place]), network.dtype)
        for part, batch in self._batches(checked):
            maps[part] = network.layer_output(batch, place, context, memory)
        return maps

    def _batches(self, X: Array) -> Iterator[tuple[slice, FloatArray]]:
        """Yield X in batches of samples whose maps fit into bounded memory."""
        threads, network = self._threads(), self.network_
        source = self._samples(X)
        largest = max(math.prod(shape) for shape in (network.input_shape, *network.shapes))
        rows = min(_MOST_ROWS, max(1, _BATCH_BYTES // (2 * largest * network.dtype.itemsize)))
        for start in range(0, len(X), rows):
            part = slice(start, min(start + rows, len(X)))
            batch = np.empty((part.stop - start, *network.input_shape), network.dtype)
            source.take(np.arange(start, part.stop, dtype=np.int64), batch, threads)
            yield part, batch

    def _place(self, layer: str | int) -> int:
        """Return the index of a layer given by name or place."""
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

    def _summary(self, input_shape: Shape | None, n_outputs: int) -> Summary:
        """Return the summary of the fitted network, or before fit of the one for this shape."""
        if input_shape is None and hasattr(self, "network_"):
            network = self.network_
            return Summary(network.layers, network.input_shape, network.dtype)
        signals = self.spatial_dims == 1
        if input_shape is None:
            raise ValueError(f"before fit, give a shape: summary({'(1000, 1)' if signals else '(28, 28, 1)'})")
        rule: Any = rules_of(type(self))["image_shape"]
        if not rule.rule(self.spatial_dims).accepts(input_shape):
            shapes = "(length,) or (length, channels)" if signals else "(H, W) or (H, W, C)"
            raise ValueError(f"input_shape must be {shapes}, ints of at least 1, got {input_shape!r}")
        shape = samples.channels_last(self, tuple(int(size) for size in input_shape))
        return Summary(self._layers(shape, n_outputs), shape, self.dtype or np.float32)
