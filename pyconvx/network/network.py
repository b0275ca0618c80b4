"""A network: layer values, and the one buffer that holds all their parameters.

It runs forward and backward, and knows nothing about losses, solvers, epochs or estimators.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from pyconvx._core.arrays import FLOATS
from pyconvx._core.numbers import as_int
from pyconvx._core.types import Array, FloatArray, Shape
from pyconvx._core.workspace import Workspace, aligned_empty
from pyconvx.exceptions import ModelFileError
from pyconvx.layers import Context, Layer
from pyconvx.layers.fusion import fuse, one_by_one
from pyconvx.layers.sequence import by_layer, layer_names, output_shapes
from pyconvx.network.parameters import Layout, default_initializers, initial_values, views
from pyconvx.ops.geometry import check_size

FORMAT_VERSION = 1


@dataclasses.dataclass
class Memory:
    """Workspaces of one caller: what backward needs again, and two that take turns for the rest."""

    kept: Workspace = dataclasses.field(default_factory=Workspace)
    turns: tuple[Workspace, Workspace] = dataclasses.field(default_factory=lambda: (Workspace(), Workspace()))

    def other_than(self, array: Array) -> Workspace:
        """Return an empty workspace that does not hold the array."""
        chosen = self.turns[1] if self.turns[0].owns(array) else self.turns[0]
        chosen.reset()
        return chosen


class Network:
    """Layers with parameters.

    Parameters
    ----------
    layers : sequence of layers
    input_shape : tuple of int
        (H, W, C), (L, C) or (features,): shape of one sample.
    initializer : str or object, default="auto"
        For kernels whose layer names none; "auto" takes what the activation after it declares.
    dtype : {"float32", "float64"}
    seed : int
        Of the starting values.
    frozen : collection of str
        Names of layers or parameters that training does not change.

    Attributes
    ----------
    layers, names, shapes : tuple
        The layers, their names, and the shape of one sample after each.
    buffer, state_buffer : 1-D arrays
        All parameters, and all running statistics.
    parameters : mapping
        Full name to read-only array.
    steps : tuple of Step
        What runs together.

    Raises
    ------
    ValueError
        If a layer cannot take its input, or an initializer gives filters that cannot learn.
    PluginError
        If a name is unknown.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        input_shape: Shape,
        *,
        initializer: Any = "auto",
        dtype: npt.DTypeLike = np.float32,
        seed: int = 0,
        frozen: Collection[str] = (),
    ) -> None:
        seed = as_int("Network: seed", seed, 0)
        if seed >= 1 << 64:
            raise ValueError(f"Network: seed must be below 2**64, got {seed}")
        self._describe(layers, input_shape, frozen, dtype)
        check_size("Network", self._layout.size + self._layout.state_size)
        self.buffer: FloatArray = aligned_empty(self._layout.size, self.dtype)
        self.state_buffer: FloatArray = aligned_empty(self._layout.state_size, self.dtype)
        self._make_views()
        defaults = default_initializers(self.layers)
        specs = self._layout.parameters | self._layout.states
        for name, array in (self._parameters | self._states).items():
            default = defaults.get(name.rpartition(".")[0], "he_uniform") if initializer == "auto" else initializer
            trainable = name in self._layout.trainable
            array[...] = initial_values(name, specs[name], default, trainable, seed)

    @classmethod
    def from_arrays(
        cls,
        layers: Sequence[Layer],
        input_shape: Shape,
        arrays: Mapping[str, Array],
        *,
        dtype: npt.DTypeLike,
        frozen: Collection[str] = (),
    ) -> Network:
        """Make a network with given parameters and running statistics, by full name; they are copied.

        Raises
        ------
        ModelFileError
            If they are not those that the layers have.
        ValueError
            If a layer cannot take its input.
        """
        network = cls.__new__(cls)
        network._describe(layers, input_shape, frozen, dtype)
        specs = network._layout.parameters | network._layout.states
        for name, spec in specs.items():
            array = arrays.get(name)
            if array is None or array.shape != spec.shape or array.dtype != network.dtype:
                found = "none" if array is None else f"{array.shape}, {array.dtype}"
                wanted = f"{spec.shape}, {network.dtype}"
                raise ModelFileError(f"{name} must be an array of shape {wanted}: there is {found}")
        if len(arrays) != len(specs):
            raise ModelFileError(f"no layer has the arrays {', '.join(sorted(set(arrays) - set(specs)))[:200]}")
        network.buffer = aligned_empty(network._layout.size, network.dtype)
        network.state_buffer = aligned_empty(network._layout.state_size, network.dtype)
        network._make_views()
        for name, array in (network._parameters | network._states).items():
            array[...] = arrays[name]
        return network

    def _describe(
        self, layers: Sequence[Layer], input_shape: Shape, frozen: Collection[str], dtype: npt.DTypeLike
    ) -> None:
        """Check and keep what defines a network."""
        if not isinstance(input_shape, (tuple, list)) or not input_shape:
            raise TypeError(f"Network: input_shape must be (H, W, C), (L, C) or (features,), got {input_shape!r}")
        if isinstance(layers, (str, type)) or not isinstance(layers, Iterable):
            raise TypeError(f"Network: layers must be a sequence of layers, got {layers!r}")
        self.layers = tuple(layers)
        for layer in self.layers:
            if isinstance(layer, type) or not hasattr(layer, "output_shape"):
                raise TypeError(f"Network: expected layers, got {layer!r}")
        self.input_shape = tuple(as_int("Network: input_shape", size, 1) for size in input_shape)
        self.frozen = (frozen,) if isinstance(frozen, str) else tuple(frozen)
        try:
            self.dtype: np.dtype[Any] = np.dtype(dtype)
        except (TypeError, ValueError, SyntaxError):  # NumPy has text parsed as Python's
            raise TypeError(f"Network: dtype must be float32 or float64, got {dtype!r}") from None
        if self.dtype not in FLOATS:
            raise ValueError(f"Network: dtype must be float32 or float64, got {self.dtype}")
        self._lay_out()

    def _lay_out(self) -> None:
        """Work out what follows from layers and input shape."""
        self.names = layer_names(self.layers)
        self.shapes = tuple(output_shapes(self.layers, self.input_shape))
        self._layout = Layout(self.layers, self.input_shape, self.frozen)
        self.steps = fuse(self.layers, self.names)
        learners = {name.partition(".")[0] for name in self._layout.trainable}
        # backward ends at the first step that learns
        self._first = next(
            (i for i, s in enumerate(self.steps) if learners.intersection(s.names)), len(self.steps)
        )

    def _make_views(self) -> None:
        """Make the arrays by name, as views into the buffers."""
        self._parameters = views(self.buffer, self._layout.parameters)
        self._states = views(self.state_buffer, self._layout.states)
        # what frozen layers write goes to copies that are never read
        fixed = self._layout.fixed
        self._writable = {name: array.copy() if name in fixed else array for name, array in self._states.items()}
        everything = self._parameters | self._states
        self._by_layer: dict[str, dict[str, Array]] = {name: {} for name in self.names} | by_layer(everything)

    @property
    def n_weights(self) -> int:
        """Numbers at the head of the buffer that weight decay applies to."""
        return self._layout.n_weights

    @property
    def n_trainable(self) -> int:
        """Numbers at the head of the buffer that training moves."""
        return self._layout.n_trainable

    @property
    def n_parameters(self) -> int:
        """All parameters, running statistics not counted."""
        return self._layout.size

    @property
    def output_shape(self) -> Shape:
        """Shape of one sample after the last layer."""
        return self.shapes[-1] if self.shapes else self.input_shape

    @property
    def parameters(self) -> Mapping[str, FloatArray]:
        """Parameters and running statistics by full name, read-only."""
        arrays = {}
        for name, array in (self._parameters | self._states).items():
            arrays[name] = array.view()
            arrays[name].flags.writeable = False
        return MappingProxyType(arrays)

    def rates(self, factors: Mapping[str, float]) -> list[tuple[slice, float]]:
        """Return where in the buffer trainable parameters stand whose steps have a factor; see `Layout.rates`."""
        return self._layout.rates(factors)

    def take(self, arrays: Mapping[str, Array]) -> None:
        """Copy numbers into parameters and running statistics, by full name.

        Raises
        ------
        ValueError
            If a name is none of the network's, a shape is another, or a number is not finite.
        """
        own = self._parameters | self._states
        for name, array in arrays.items():
            if name not in own:
                raise ValueError(f"init_from: no array {name!r}; there are {', '.join(own)[:2000]}")
            if np.shape(array) != own[name].shape:
                raise ValueError(f"init_from: {name} has shape {np.shape(array)}, here it is {own[name].shape}")
        for name, array in arrays.items():
            with np.errstate(over="ignore"):
                own[name][...] = array
            if not np.isfinite(own[name]).all():
                raise ValueError(f"init_from: {name} holds NaN, infinity or numbers too large for {self.dtype}")

    def make_writable(self) -> None:
        """Copy buffers that came read-only from a pickle or a memory map; training calls it first."""
        if not (self.buffer.flags.writeable and self.state_buffer.flags.writeable):
            self.buffer, self.state_buffer = np.array(self.buffer), np.array(self.state_buffer)
            self._make_views()

    def gradients(self) -> tuple[FloatArray, dict[str, dict[str, Array]]]:
        """Return a zeroed gradient buffer for the trainable parameters, and its views by layer and name."""
        buffer = aligned_empty(self.n_trainable, self.dtype)
        buffer.fill(0)
        specs = {name: self._layout.parameters[name] for name in self._layout.trainable}
        named = views(buffer, specs)
        return buffer, {name: {} for name in self.names} | by_layer(named)

    def context(self, training: bool, workspace: Workspace, n_threads: int, **options: Any) -> Context:
        """Return a context with this network's states; the options are those of `Context`."""
        return Context(training, workspace, n_threads, states=self._writable, **options)

    def forward(
        self, x: FloatArray, context: Context, memory: Memory, tape: list[Any] | None = None
    ) -> FloatArray:
        """Return the outputs for a batch (N, *input_shape).

        With a `tape`, each step's cache is appended to it and nothing is overwritten until the next
        `memory.kept.reset()`; without, only the newest two maps are kept. Tapes are for training passes:
        outside them the layers keep less than backward needs.
        """
        self._check("x", x, self.input_shape)
        for step in self.steps:
            workspace = memory.kept if tape is not None else memory.other_than(x)
            inner = context.at(step.names[0] + ".", workspace, context.needs_dx)
            x, cache = step.layer.forward(x, self._by_layer[step.names[0]], inner)
            if tape is not None:
                tape.append(cache)
        return x

    def backward(
        self,
        dy: FloatArray,
        tape: list[Any],
        gradients: Mapping[str, Mapping[str, Array]],
        context: Context,
        memory: Memory,
    ) -> None:
        """Add to the gradients, given the gradient `dy` of the outputs, which is overwritten."""
        self._check("dy", dy, self.output_shape)
        for i in range(len(self.steps) - 1, self._first - 1, -1):
            step = self.steps[i]
            name = step.names[0]
            inner = context.at(name + ".", memory.other_than(dy), i > self._first)
            dx = step.layer.backward(dy, tape[i], self._by_layer[name], gradients[name], inner)
            if i > self._first:
                dy = dx

    def _check(self, name: str, array: FloatArray, shape: Shape) -> None:
        """Refuse a batch whose samples have another shape or dtype: the kernels do not check."""
        if array.shape[1:] != shape or array.dtype != self.dtype:
            raise ValueError(
                f"Network: {name} must have shape (N, {', '.join(map(str, shape))}) and {self.dtype}, "
                f"got {array.shape}, {array.dtype}"
            )

    def layer_output(self, x: FloatArray, layer: int, context: Context, memory: Memory) -> FloatArray:
        """Return the output of one layer, given its place; layers run one by one."""
        self._check("x", x, self.input_shape)
        for step in one_by_one(self.layers[: layer + 1], self.names[: layer + 1]):
            inner = context.at(step.names[0] + ".", memory.other_than(x), context.needs_dx)
            x, _ = step.layer.forward(x, self._by_layer[step.names[0]], inner)
        return x

    def __getstate__(self) -> dict[str, Any]:
        """Return values and flat buffers; views and steps are made anew."""
        return {
            "format_version": FORMAT_VERSION,
            "layers": self.layers,
            "input_shape": self.input_shape,
            "frozen": self.frozen,
            "dtype": self.dtype.name,
            "buffer": self.buffer,
            "state_buffer": self.state_buffer,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        version = state.get("format_version")
        if version != FORMAT_VERSION:
            raise ModelFileError(
                f"this network was pickled in format {version}, this pyconvx reads format {FORMAT_VERSION}: "
                "install the version that wrote it or a newer one"
            )
        self.layers, self.input_shape = state["layers"], state["input_shape"]
        self.frozen, self.dtype = state["frozen"], np.dtype(state["dtype"])
        self._lay_out()
        self.buffer = self._fitting(state["buffer"], self._layout.size)
        self.state_buffer = self._fitting(state["state_buffer"], self._layout.state_size)
        self._make_views()

    def _fitting(self, buffer: Any, size: int) -> FloatArray:
        """Return a buffer from a pickle, or raise an error if the layers need another: kernels do not check."""
        fits = isinstance(buffer, np.ndarray) and buffer.shape == (size,) and buffer.dtype == self.dtype
        if not (fits and buffer.flags.c_contiguous and buffer.flags.aligned):
            found = f"{buffer.shape}, {buffer.dtype}" if isinstance(buffer, np.ndarray) else type(buffer).__name__
            raise ModelFileError(f"buffers do not fit: got {found}, the network needs ({size},), {self.dtype}")
        return buffer  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"Network({len(self.layers)} layers, {self.input_shape} -> {self.output_shape}, {self.dtype})"
