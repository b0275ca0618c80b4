"""Blocks with a skip path: what they share, and the one that is made of any layers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from pyconvx._core.types import FloatArray, Shape
from pyconvx.layers.base import Arrays, Layer
from pyconvx.layers.composite import Composite, check_path
from pyconvx.layers.context import Context
from pyconvx.layers.epilogue import NOTHING, Epilogue
from pyconvx.ops import elementwise


class SkipBlock(Composite):
    """What blocks with a skip path share: `parts` are the block and, if it has layers, the skip path."""

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape on which both paths agree."""
        main, other = [*self.path_shapes(input_shape), input_shape][:2]
        if main != other:
            raise ValueError(
                f"{type(self).__name__}: the block gives {main}, the skip path {other}: {self.remedy(main)}"
            )
        return main

    def remedy(self, shape: Shape) -> str:
        """Return for a message how the skip path gets this shape."""
        raise NotImplementedError

    def takes(self, epilogue: Epilogue) -> bool:
        """Accept an activation: it runs on sums that are still in cache."""
        return epilogue.pool is None

    def forward(
        self, x: FloatArray, params: Arrays, context: Context, epilogue: Epilogue = NOTHING
    ) -> tuple[FloatArray, Any]:
        """Add both paths; the cache holds their tapes, and the sum."""
        ends, tapes = self.run_paths(x, params, context)
        main, other = [*ends, x][:2]
        y = context.take(main.shape, main.dtype)
        activated = context.take(main.shape, main.dtype) if epilogue.keeps_input(context.training) else y
        flat = main.reshape(-1), other.reshape(-1), y.reshape(-1), activated.reshape(-1)
        context.run(elementwise.add, *flat, epilogue.capsule, context.n_threads)
        return activated, (tapes, y)

    def backward(
        self, dy: FloatArray, cache: Any, params: Arrays, grads: Arrays, context: Context
    ) -> FloatArray | None:
        """Run both paths' backward and add the gradients of the input."""
        gradients = self.run_paths_back(dy, cache[0], params, grads, context)
        if not context.needs_dx:
            return None
        main, other = [*gradients, dy][:2]
        assert main is not None
        assert other is not None
        dx = context.take(main.shape, main.dtype)
        flat = main.reshape(-1), other.reshape(-1), dx.reshape(-1)
        context.run(elementwise.add, *flat, None, None, context.n_threads)
        return dx


@dataclass(frozen=True)
class Residual(SkipBlock):
    """The sum of what a block of layers makes of its input, and of the input itself.

    Parameters
    ----------
    layers : sequence of layers
        The block.
    skip : sequence of layers, default=()
        Layers on the other path, such as ``(Conv2D(64, 1, stride=2),)`` if the block changes the
        shape; empty for the input as it is.

    Notes
    -----
    Parameters carry the names of the block's layers, those of the other path begin with ``skip.``.
    He et al., CVPR 2016. Put ``Activation`` after it for the original form.
    """

    layers: tuple[Layer, ...]
    skip: tuple[Layer, ...] = ()

    def __post_init__(self) -> None:
        """Refuse an empty block."""
        super().__post_init__()
        if not isinstance(self.layers, tuple) or not self.layers:
            raise ValueError(f"Residual: layers must be a non-empty sequence of layers, got {self.layers!r}")
        check_path("Residual: layers", self.layers)
        check_path("Residual: skip", self.skip)

    def parts(self) -> tuple[tuple[Layer, ...], ...]:
        """Return the block and, if it has layers, the skip path."""
        return (self.layers, self.skip) if self.skip else (self.layers,)

    def with_parts(self, parts: tuple[tuple[Layer, ...], ...]) -> Residual:
        """Return a block made of other layers."""
        return replace(self, layers=parts[0], skip=parts[1] if len(parts) > 1 else ())

    def remedy(self, shape: Shape) -> str:
        """Say what the skip path may be."""
        return f"give a skip path such as skip=(Conv2D({shape[-1]}, 1, stride=...),)"
