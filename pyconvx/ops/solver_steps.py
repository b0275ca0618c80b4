"""Steps of the built-in solvers, and weight decay: each one pass over flat arrays, in place.

These are the compiled functions themselves, and they check nothing: C-contiguous arrays of one length, all float32
or all float64. `pyconvx.solvers` checks arrays and constants first.

sgd        v = momentum v - rate g; p += v, or with Nesterov p += momentum v - rate g
adam       steps by the running mean of the gradient over the root of that of its square
rmsprop    steps by the gradient over the root of the running mean of its square
l2         adds scale * parameters to the gradients; returns the sum of the squared parameters
"""

from pyconvx._ext.solver_steps import adam, l2, rmsprop, sgd

__all__ = ["adam", "l2", "rmsprop", "sgd"]
