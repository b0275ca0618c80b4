"""Classic image filters: kernels designed by people, from the time before networks learnt them.

kernels   the kernels by name, with their sign convention
apply     apply_filter: one kernel, on each channel separately
images    two small images to try them on
bank      FilterBank, a scikit-learn transformer
"""

from pyconvx.filters.apply import apply_filter
from pyconvx.filters.bank import FilterBank
from pyconvx.filters.images import CROSS, SEVEN
from pyconvx.filters.kernels import KERNELS, get_kernel

__all__ = ["CROSS", "KERNELS", "SEVEN", "FilterBank", "apply_filter", "get_kernel"]
