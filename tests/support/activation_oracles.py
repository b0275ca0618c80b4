"""Slow definitions of the activations: the formulas in NumPy and SciPy, in float64."""

import numpy as np
from scipy import special

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
GELU_TANH = np.sqrt(2 / np.pi)


def softplus(x):
    return np.logaddexp(0, x)


VALUES = {
    "identity": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "relu6": lambda x: np.clip(x, 0, 6),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "selu": lambda x: SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(np.minimum(x, 0))),
    "gelu": lambda x: x * special.ndtr(x),
    "gelu_tanh": lambda x: x * special.expit(2 * GELU_TANH * (x + 0.044715 * x**3)),
    "silu": lambda x: x * special.expit(x),
    "hard_swish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "mish": lambda x: x * np.tanh(softplus(x)),
    "softplus": softplus,
    "softsign": lambda x: x / (1 + np.abs(x)),
    "tanh": np.tanh,
    "sigmoid": special.expit,
    "hard_sigmoid": lambda x: np.clip(x + 3, 0, 6) / 6,
    "hard_tanh": lambda x: np.clip(x, -1, 1),
    "softmax": lambda x: special.softmax(x, axis=-1),
    "log_softmax": lambda x: special.log_softmax(x, axis=-1),
}

# where a derivative jumps
KINKS = {"relu": [0], "leaky_relu": [0], "relu6": [0, 6], "elu": [0], "selu": [0]}
KINKS |= {"hard_swish": [-3, 3], "hard_sigmoid": [-3, 3], "hard_tanh": [-1, 1]}

# the limits at -infinity and +infinity
LIMITS = {
    "identity": (-np.inf, np.inf),
    "relu": (0, np.inf),
    "leaky_relu": (-np.inf, np.inf),
    "relu6": (0, 6),
    "elu": (-1, np.inf),
    "selu": (-SELU_SCALE * SELU_ALPHA, np.inf),
    "gelu": (0, np.inf),
    "gelu_tanh": (0, np.inf),
    "silu": (0, np.inf),
    "hard_swish": (0, np.inf),
    "mish": (0, np.inf),
    "softplus": (0, np.inf),
    "softsign": (-1, 1),
    "tanh": (-1, 1),
    "sigmoid": (0, 1),
    "hard_sigmoid": (0, 1),
    "hard_tanh": (-1, 1),
}
# derivatives there
SLOPES = {
    "identity": (1, 1),
    "relu": (0, 1),
    "leaky_relu": (0.01, 1),
    "relu6": (0, 0),
    "elu": (0, 1),
    "selu": (0, SELU_SCALE),
    "gelu": (0, 1),
    "gelu_tanh": (0, 1),
    "silu": (0, 1),
    "hard_swish": (0, 1),
    "mish": (0, 1),
    "softplus": (0, 1),
    "softsign": (0, 0),
    "tanh": (0, 0),
    "sigmoid": (0, 0),
    "hard_sigmoid": (0, 0),
    "hard_tanh": (0, 0),
}
