"""Classic image filters: kernels that people designed before networks learnt theirs.

kernels   the kernels by name, with their sign convention
apply     apply_filter: one kernel, each channel on its own
images    two small images to try them on
bank      FilterBank, a scikit-learn transformer
"""

from pyconvx.filters.apply import apply_filter
from pyconvx.filters.bank import FilterBank
from pyconvx.filters.images import CROSS, SEVEN
from pyconvx.filters.kernels import KERNELS, get_kernel

__all__ = ["CROSS", "KERNELS", "SEVEN", "FilterBank", "apply_filter", "get_kernel"]
