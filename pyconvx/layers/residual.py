"""A block with a skip path."""

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from pyconvx._core.types import FloatArray, Shape
from pyconvx._ext import pointwise
from pyconvx.layers.base import Arrays, Context, Layer, ParameterSpec
from pyconvx.layers.program import Program
from pyconvx.layers.sequence import (
    below,
    output_shapes,
    sequence_backward,
    sequence_bind,
    sequence_forward,
    sequence_parameters,
)


@dataclass(frozen=True)
class Residual(Layer):
    """The sum of what a block of layers makes of its input, and of the input itself.

    Parameters
    ----------
    layers : sequence of layers
        The block.
    skip : sequence of layers, default=()
        Layers on the other path, such as ``(Conv2D(64, 1, stride=2),)`` where the block changes the
        shape; empty for the input as it is.

    Notes
    -----
    He et al., CVPR 2016. Put ``Activation`` behind it for the original form.
    """

    layers: tuple[Layer, ...]
    skip: tuple[Layer, ...] = ()

    takes_activation: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse an empty block."""
        super().__post_init__()
        if not isinstance(self.layers, tuple) or not self.layers:
            raise ValueError(f"Residual: layers must be a non-empty sequence of layers, got {self.layers!r}")
        if not isinstance(self.skip, tuple):
            raise ValueError(f"Residual: skip must be a sequence of layers, got {self.skip!r}")
        for layer in (*self.layers, *self.skip):
            if isinstance(layer, type) or not hasattr(layer, "output_shape"):
                raise TypeError(f"Residual: expected layers, got {layer!r}")

    def parts(self) -> tuple[tuple[Layer, ...], ...]:
        """Block and skip path."""
        return (self.layers, self.skip) if self.skip else (self.layers,)

    def output_shape(self, input_shape: Shape) -> Shape:
        """The shape on which both paths agree."""
        main = output_shapes(self.layers, input_shape)[-1]
        other = [input_shape, *output_shapes(self.skip, input_shape)][-1]
        if main != other:
            raise ValueError(
                f"Residual: the block gives {main}, the skip path {other}: give a skip path such as "
                f"skip=(Conv2D({main[-1]}, 1, stride=...),)"
            )
        return main

    def parameters(self, input_shape: Shape) -> dict[str, ParameterSpec]:
        """Those of the block, and under ``skip.`` those of the other path."""
        self.output_shape(input_shape)
        skip = sequence_parameters(self.skip, input_shape)
        return sequence_parameters(self.layers, input_shape) | {f"skip.{k}": v for k, v in skip.items()}

    def multiplications(self, input_shape: Shape) -> int:
        """Those of both paths."""
        total = 0
        for part in self.parts():
            shapes = [input_shape, *output_shapes(part, input_shape)]
            total += sum(layer.multiplications(shape) for layer, shape in zip(part, shapes, strict=False))
        return total

    def forward(
        self, x: FloatArray, params: Arrays, context: Context, activation: Any = None, keep: bool = False
    ) -> tuple[FloatArray, Any]:
        """Block plus skip path; `activation` and `keep` as for Conv2D."""
        main, cache = sequence_forward(self.layers, x, params, context)
        other, skip_cache = sequence_forward(self.skip, x, below(params, "skip"), context.within("skip"))
        y = context.workspace.take(main.shape, main.dtype)
        after = context.workspace.take(main.shape, main.dtype) if keep else y
        flat = main.reshape(-1), other.reshape(-1), y.reshape(-1), after.reshape(-1)
        pointwise.add(*flat, activation, context.n_threads)
        return after, ((cache, skip_cache), y)

    def bind(self, x: FloatArray, params: Arrays, program: Program, activation: Any = None) -> FloatArray:
        """Add both paths and their sum to a program."""
        main = sequence_bind(self.layers, x, params, program)
        other = sequence_bind(self.skip, x, below(params, "skip"), program, "skip.")
        y = program.take(main.shape, main.dtype)
        flat = main.reshape(-1), other.reshape(-1), y.reshape(-1)
        program.calls.append(partial(pointwise.add, *flat, flat[-1], activation, program.n_threads))
        return y

    def backward(
        self, dy: FloatArray, cache: Any, params: Arrays, grads: Arrays, context: Context
    ) -> FloatArray | None:
        """The gradients of both paths, added."""
        (tape, skip_tape), _ = cache
        main = sequence_backward(dy, tape, params, grads, context)
        other = sequence_backward(
            dy, skip_tape, below(params, "skip"), below(grads, "skip"), context.within("skip")
        )
        if not context.needs_dx:
            return None
        assert main is not None
        assert other is not None
        dx = context.workspace.take(main.shape, main.dtype)
        flat = main.reshape(-1), other.reshape(-1), dx.reshape(-1)
        pointwise.add(*flat, None, None, context.n_threads)
        return dx
