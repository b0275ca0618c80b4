"""Array functions: convolution, pooling and their gradients, for people who want no layers.

geometry      output sizes, padding, windows
convolution   conv2d, conv2d_backward
"""

from pyconvx.ops.convolution import conv2d, conv2d_backward
from pyconvx.ops.geometry import conv_output_size
from pyconvx.ops.pooling import (
    avg_pool2d,
    avg_pool2d_backward,
    global_avg_pool2d,
    global_avg_pool2d_backward,
    max_pool2d,
    max_pool2d_backward,
)

__all__ = [
    "avg_pool2d",
    "avg_pool2d_backward",
    "conv2d",
    "conv2d_backward",
    "conv_output_size",
    "global_avg_pool2d",
    "global_avg_pool2d_backward",
    "max_pool2d",
    "max_pool2d_backward",
]
