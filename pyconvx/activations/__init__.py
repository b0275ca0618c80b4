"""Activations: functions applied to each number, or with the softmaxes to each row.

    compiled    CompiledActivation: any activation that has a capsule, the built-ins among them
    rows        Softmax, LogSoftmax: over the last axis
    contract    what an activation must have, and the registry that asks for it
    guarded     the adapter around activations of other packages

Each built-in stands here under its name (``pyconvx.activations.gelu``); `registry` finds these and those of
other packages by name.
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
softmax = Softmax()
log_softmax = LogSoftmax()

registry = ActivationRegistry("pyconvx.activations", verify, GuardedActivation)


def name_of(activation: object) -> str:
    """What to call an activation in a summary: its ``name``, else its class's."""
    plugin = unguarded(activation)
    name = getattr(plugin, "name", None)
    return name if isinstance(name, str) else type(plugin).__name__
