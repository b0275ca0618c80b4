"""Array functions: convolution, pooling and their gradients, for people who want no layers.

geometry        output sizes, padding, windows
convolution     conv2d, conv2d_backward
pooling         max, average and global average pooling

For layers, losses, solvers and the training loop, one step below: compiled functions that write into given arrays
and leave most checks to their callers.

conv_plan       a convolution and its gradients, planned for batches of one shape
winograd        which convolutions go through Winograd's transform
dense_plan      a dense layer and its gradients, likewise
pool_plan       max and average pools, likewise; global pools have one window
pool_window     the window of a pool, checked
capsules        compiled activations as objects
elementwise     activations on flat arrays, sums
softmax         softmax and its logarithm, row by row
batch_norm_plan batch normalisation, likewise
channels        factors of channels, columns of a table
random          random numbers by key, dropout
losses          value and gradient of a loss
solver_steps    steps of the solvers, weight decay
batches         rows of a data set as a batch
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
