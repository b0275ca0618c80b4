"""What a pass through layers needs besides data and parameters, and how it is recorded.

A layer takes the memory for its results from the context and hands it the calls that compute them. A context
runs each call at once, or notes it in a `Program`, which repeats the pass as often as wanted: then nothing is
left to decide, and a run costs the calls alone.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from pyconvx._core.threads import resolve_threads
from pyconvx._core.types import Array, FloatArray, Shape
from pyconvx._core.workspace import Workspace
from pyconvx.ops import random


@dataclass(slots=True)
class Randomness:
    """What the random numbers of a pass depend on; a training step changes it in place.

    Parameters
    ----------
    seed, epoch : int
    samples : int64 array
        One number for each row of the batch; empty stands for 0, 1, 2, ...
    """

    seed: int = 0
    epoch: int = 0
    samples: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    def write_keys(self, purpose: int, out: npt.NDArray[np.uint64]) -> None:
        """Write one key for each row, for random numbers that serve this purpose."""
        samples = self.samples if len(self.samples) else np.arange(len(out), dtype=np.int64)
        random.keys(self.seed, purpose, self.epoch, samples, out)


class Program:
    """A recorded pass: calls with all their arguments, in order.

    Parameters
    ----------
    constants : dict, optional
        Results that follow from parameters alone, by any key. Programs of one network whose parameters never
        change share it; None stands for parameters that change between runs.

    Attributes
    ----------
    calls : list of callables
    scratch : Workspace
        Memory that is free again after each call.
    """

    def __init__(self, constants: dict[Any, Any] | None = None) -> None:
        self.constants = constants
        self.calls: list[Callable[[], object]] = []
        self.scratch = Workspace()

    def run(self) -> None:
        """Run the calls."""
        for call in self.calls:
            call()


@dataclass(slots=True)
class Context:
    """What a layer gets besides its input and its parameters.

    Parameters
    ----------
    training : bool
        Whether dropout drops, batch statistics are used and state is written.
    workspace : Workspace
        Memory for results, valid until the next step.
    n_threads : int
        Threads of the layers' loops, as `pyconvx.ops` take them.
    needs_dx : bool
        Whether backward has to return the gradient of its input.
    randomness : Randomness
        What random numbers depend on.
    states : mapping
        The state arrays that may be written, by full name.
    scope : str
        Prefix of the names of the layer that runs.
    program : Program, optional
        Where calls are noted instead of being run.
    """

    training: bool
    workspace: Workspace
    n_threads: int = 1
    needs_dx: bool = True
    randomness: Randomness = field(default_factory=Randomness)
    states: Mapping[str, Array] = field(default_factory=dict)
    scope: str = ""
    program: Program | None = None

    def __post_init__(self) -> None:
        self.n_threads = resolve_threads(self.n_threads)

    def take(self, shape: Shape, dtype: npt.DTypeLike) -> Array:
        """Return an uninitialised array for a result."""
        return self.workspace.take(shape, dtype)

    def scratch(self, size: int, dtype: npt.DTypeLike) -> FloatArray:
        """Return uninitialised numbers that one call may use; the next call may get the same."""
        memory = self.workspace if self.program is None else self.program.scratch
        mark = memory.mark()
        array: FloatArray = memory.take((size,), dtype)
        memory.release(mark)
        return array

    def run(self, function: Callable[..., object], *arguments: Any) -> None:
        """Call a function that writes into arrays: at once, or every time the recorded pass runs."""
        if self.program is None:
            function(*arguments)
        else:
            self.program.calls.append(partial(function, *arguments))

    @property
    def is_fixed(self) -> bool:
        """Whether the pass is recorded for parameters that never change."""
        return self.program is not None and self.program.constants is not None

    def derive(self, function: Callable[..., object], *arguments: Any) -> None:
        """Do what `run` does, but only once if the result depends on parameters that never change."""
        if self.is_fixed:
            function(*arguments)
        else:
            self.run(function, *arguments)

    def constant(self, key: Any, make: Callable[[], Any]) -> Any:
        """Return a value that depends on parameters that never change; it is made once for all programs."""
        assert self.program is not None
        assert self.program.constants is not None
        if key not in self.program.constants:
            self.program.constants[key] = make()
        return self.program.constants[key]

    def within(self, name: str) -> Context:
        """Return this context for an inner layer of this name."""
        return self.below(f"{name}.")

    def below(self, prefix: str) -> Context:
        """Return this context for layers whose names have one more prefix."""
        return self.at(self.scope + prefix, self.workspace, self.needs_dx)

    def at(self, scope: str, workspace: Workspace, needs_dx: bool) -> Context:
        """Return this context for another layer, as `dataclasses.replace` would, but several times as fast."""
        return Context(
            self.training, workspace, self.n_threads, needs_dx, self.randomness, self.states, scope, self.program,
        )  # fmt: skip

    def unrecorded(self, workspace: Workspace) -> Context:
        """Return this context with other memory; it runs calls at once."""
        return replace(self, workspace=workspace, program=None)

    def keys(self, purpose: str, rows: int) -> npt.NDArray[np.uint64]:
        """Return one key for each row, for random numbers of the layer that runs.

        They depend on the seed, the layer's name, the purpose, the epoch and the sample only.
        """
        out: npt.NDArray[np.uint64] = self.take((rows,), np.uint64)
        self.run(self.randomness.write_keys, zlib.crc32(f"{self.scope}{purpose}".encode()), out)
        return out

    def update_state(self, name: str, value: Array) -> None:
        """Write a state array of the layer that runs; numbers beyond its type become infinite."""
        with np.errstate(over="ignore"):
            self.states[self.scope + name][...] = value
