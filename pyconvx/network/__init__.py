"""Networks: layers with memory.

network      Network: parameters in one buffer, the passes forward and backward
parameters   which arrays there are, in which order, and how they start
folding      batch norm folded into the layer before it
compiled     CompiledNetwork: a network compiled for predicting
"""

from pyconvx.network.compiled import CompiledNetwork
from pyconvx.network.network import Memory, Network

__all__ = ["CompiledNetwork", "Memory", "Network"]
