"""2-D convolution as a layer; the arithmetic is `pyconvx.ops.convolution`."""

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

from pyconvx._core.numbers import as_int
from pyconvx._core.types import FloatArray, Padding, Pair, Shape
from pyconvx.initializers import zeros
from pyconvx.layers.base import Arrays, Context, Layer, ParameterSpec, both, cached, expect_images
from pyconvx.layers.program import Program
from pyconvx.ops import convolution
from pyconvx.ops.geometry import Window, as_padding, as_pair, window


@dataclass(frozen=True)
class Conv2D(Layer):
    """Convolution (cross-correlation) of images with learnt kernels.

    Parameters
    ----------
    filters : int
        Output channels.
    kernel_size : int or (int, int), default=3
        Height and width of the kernels, in pixels.
    stride, dilation : int or (int, int), default=1
        Step between windows, distance between taps.
    padding : int, pair, pair of pairs, "same" or "valid", default="valid"
        Zeros around the image; see `pyconvx.ops.conv2d`.
    groups : int, default=1
        Each group of filters sees its share of the input channels only.
    bias : bool, default=True
        Whether each filter adds a learnt number.
    initializer : str, object or None, default=None
        Starting kernels; None takes the network's.

    Notes
    -----
    Input (H, W, C), output (OH, OW, filters); parameters ``kernel`` (KH, KW, C / groups, filters) and
    ``bias`` (filters,).
    """

    filters: int
    kernel_size: int | Pair = 3
    _: KW_ONLY
    stride: int | Pair = 1
    padding: Padding = "valid"
    dilation: int | Pair = 1
    groups: int = 1
    bias: bool = True
    initializer: object = None

    takes_activation: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse sizes that no input could make legal."""
        super().__post_init__()
        as_int("Conv2D: filters", self.filters, 1)
        as_pair("Conv2D: kernel_size", self.kernel_size, 1)
        as_pair("Conv2D: stride", self.stride, 1)
        as_pair("Conv2D: dilation", self.dilation, 1)
        as_int("Conv2D: groups", self.groups, 1)
        as_padding(self.padding)
        if self.filters % self.groups:
            raise ValueError(f"Conv2D: groups={self.groups} must divide filters={self.filters}")

    def view(self, input_shape: Shape) -> Window:
        """The kernel's window over inputs of this shape."""
        return _view(self, input_shape)

    def output_shape(self, input_shape: Shape) -> Shape:
        """(OH, OW, filters)."""
        view = self.view(input_shape)
        return view.OH, view.OW, self.filters

    def parameters(self, input_shape: Shape) -> dict[str, ParameterSpec]:
        """Kernel, and bias where wanted."""
        self.view(input_shape)  # refuses what does not fit
        KH, KW = both(self.kernel_size)
        inputs = input_shape[2] // self.groups
        fans = (KH * KW * inputs, KH * KW * self.filters // self.groups)
        specs = {"kernel": ParameterSpec((KH, KW, inputs, self.filters), self.initializer, *fans)}
        if self.bias:
            specs["bias"] = ParameterSpec((self.filters,), zeros, kind="bias")
        return specs

    def multiplications(self, input_shape: Shape) -> int:
        """OH * OW * filters * KH * KW * C / groups."""
        view = self.view(input_shape)
        return view.OH * view.OW * self.filters * view.KH * view.KW * input_shape[2] // self.groups

    def forward(
        self, x: FloatArray, params: Arrays, context: Context, activation: Any = None, keep: bool = False
    ) -> tuple[FloatArray, Any]:
        """Convolve; with the capsule of an activation, apply it to rows that are still in cache.

        `keep` asks for the values before the activation in the cache, else those after it are there.
        """
        view = self.view(x.shape[1:])
        shape = (len(x), view.OH, view.OW, self.filters)
        y = context.workspace.take(shape, x.dtype)
        after = context.workspace.take(shape, x.dtype) if keep else y
        convolution.forward(
            x, params["kernel"], params.get("bias"), y, view, self.groups, context.workspace,
            context.n_threads, after, activation,
        )  # fmt: skip
        return after, (x, y)

    def bind(self, x: FloatArray, params: Arrays, program: Program, activation: Any = None) -> FloatArray:
        """Add the convolution to a program."""
        view = self.view(x.shape[1:])
        y = program.take((len(x), view.OH, view.OW, self.filters), x.dtype)
        program.bind_convolution(x, params, y, view, self.groups, activation)
        return y

    def backward(
        self, dy: FloatArray, cache: Any, params: Arrays, grads: Arrays, context: Context
    ) -> FloatArray | None:
        """Gradients of kernel, bias and input."""
        x = cache[0]
        dx = context.workspace.take(x.shape, x.dtype) if context.needs_dx else None
        convolution.backward(
            x, dy, params["kernel"], grads.get("kernel"), grads.get("bias"), dx, self.view(x.shape[1:]),
            self.groups, context.workspace, context.n_threads,
        )  # fmt: skip
        return dx


@cached
def _view(layer: Conv2D, input_shape: Shape) -> Window:
    H, W, C = expect_images(layer, input_shape)
    if C % layer.groups:
        raise ValueError(f"{layer} expected channels divisible by {layer.groups}, got shape {input_shape}")
    return window(
        str(layer), (H, W), both(layer.kernel_size),
        stride=layer.stride, padding=layer.padding, dilation=layer.dilation,
    )  # fmt: skip
