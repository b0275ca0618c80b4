"""Which convolutions go through Winograd's F(2x2, 3x3)."""

from functools import lru_cache

from pyconvx.ops.geometry import Window, WindowAxis

# Measured (docs/evidence/performance-notes.md): with fewer channels the transforms cost what the products save,
# and a larger kernel is written and read too often for what it multiplies. On small maps the direct way leaves
# out much padding, and tiles reach beyond the edge.
_FEWEST_CHANNELS = 16
_LARGEST_KERNEL = 256 * 512
_LEAST_SAVED = 1.3
_AXIS = (3, 1, 1)  # taps, stride, dilation


def suits(window: Window, channels: int, filters: int, groups: int, itemsize: int) -> bool:
    """Return whether Winograd's way is taken: float32, 3x3 taps, stride 1, many channels, products to save.

    The shape of one sample decides, never the number of samples, so that a sample's result does not depend on its
    batch.
    """
    few, large = min(channels, filters) < _FEWEST_CHANNELS, channels * filters > _LARGEST_KERNEL
    if few or large or groups != 1 or itemsize != 4:
        return False
    if any((axis.taps, axis.stride, axis.dilation) != _AXIS for axis in (window.rows, window.columns)):
        return False
    return _saved(window) >= _LEAST_SAVED


@lru_cache(maxsize=1024)
def _saved(window: Window) -> float:
    """Divide the products of a map the direct way, which leaves out padding, by those of its tiles."""

    def taps(axis: WindowAxis) -> int:
        starts = range(-axis.before, axis.positions - axis.before)
        return sum(max(0, min(axis.size, start + 3) - max(0, start)) for start in starts)

    tiles = -(-window.OH // 2) * -(-window.OW // 2)
    return taps(window.rows) * taps(window.columns) / (16 * tiles)
