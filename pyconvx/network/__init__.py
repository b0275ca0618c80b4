"""Networks: layers with memory.

network      Network: parameters in one buffer, the passes forward and backward
parameters   which arrays there are, in which order, and how they start
"""

from pyconvx.network.network import Memory, Network

__all__ = ["Memory", "Network"]
