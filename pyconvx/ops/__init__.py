"""Array functions: convolution, pooling and their gradients, for people who want no layers.

    geometry      output sizes, padding, windows
    convolution   conv2d, conv2d_backward
"""

from pyconvx.ops.convolution import conv2d, conv2d_backward
from pyconvx.ops.geometry import conv_output_size

__all__ = ["conv2d", "conv2d_backward", "conv_output_size"]
