"""Activations: functions of each number, or of each row in the case of the softmaxes.

    compiled    CompiledActivation: the built-ins that run inside the kernels; CapsuleActivation for plugins
    rows        Softmax, LogSoftmax: over the last axis
    contract    what an activation must have, and the class of its registry
    guarded     the adapter around activations of other packages

Each built-in is an attribute of this package (``pyconvx.activations.gelu``); `registry` finds them, and those
of other packages, by name. Some have two names: logistic is sigmoid, linear is identity, swish is silu, and celu,
whose parameter is 1, is elu.
"""

from pyconvx.activations.compiled import CompiledActivation
from pyconvx.activations.contract import Activation, ActivationRegistry, initializer_of, verify
from pyconvx.activations.guarded import GuardedActivation
from pyconvx.activations.rows import LogSoftmax, Softmax
from pyconvx.registry.guard import unguarded

__all__ = [
    "Activation",
    "ActivationRegistry",
    "CompiledActivation",
    "LogSoftmax",
    "Softmax",
    "elu",
    "gelu",
    "gelu_tanh",
    "hard_sigmoid",
    "hard_swish",
    "hard_tanh",
    "identity",
    "initializer_of",
    "leaky_relu",
    "log_softmax",
    "mish",
    "name_of",
    "registry",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "softsign",
    "tanh",
    "verify",
]

identity = CompiledActivation("identity")
relu = CompiledActivation("relu")
leaky_relu = CompiledActivation("leaky_relu")
relu6 = CompiledActivation("relu6")
elu = CompiledActivation("elu")
selu = CompiledActivation("selu")
gelu = CompiledActivation("gelu")
gelu_tanh = CompiledActivation("gelu_tanh")
silu = CompiledActivation("silu")
hard_swish = CompiledActivation("hard_swish")
mish = CompiledActivation("mish")
softplus = CompiledActivation("softplus")
softsign = CompiledActivation("softsign")
tanh = CompiledActivation("tanh")
sigmoid = CompiledActivation("sigmoid")
hard_sigmoid = CompiledActivation("hard_sigmoid")
hard_tanh = CompiledActivation("hard_tanh")
softmax = Softmax()
log_softmax = LogSoftmax()

registry = ActivationRegistry("pyconvx.activations", verify, GuardedActivation)


def name_of(activation: object) -> str:
    """Return what a summary calls an activation: its ``name``, else the name of its class."""
    plugin = unguarded(activation)
    name = getattr(plugin, "name", None)
    return name if isinstance(name, str) else type(plugin).__name__
