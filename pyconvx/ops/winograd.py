"""Which convolutions go through Winograd's F(2x2, 3x3)."""

from functools import lru_cache

from pyconvx.ops.geometry import Window

# Measured (docs/evidence/performance-notes.md): with fewer channels the transforms cost what the products save,
# and a larger kernel is written and read too often for what it multiplies. On small maps the direct way leaves
# out much padding, and tiles reach beyond the edge.
_FEWEST_CHANNELS = 16
_LARGEST_KERNEL = 256 * 512
_LEAST_SAVED = 1.3
_TAPS = (3, 3, 1, 1)  # height, width, strides


def suits(window: Window, channels: int, filters: int, groups: int, itemsize: int) -> bool:
    """Whether Winograd's way is taken: float32, 3x3 taps, stride 1, many channels, products to save.

    The shape of one sample decides, never the number of samples, so that a sample's result does not depend on its
    batch.
    """
    few, large = min(channels, filters) < _FEWEST_CHANNELS, channels * filters > _LARGEST_KERNEL
    if few or large or groups != 1 or itemsize != 4:
        return False
    if window.sizes[:4] != _TAPS or (window.dilation_h, window.dilation_w) != (1, 1):
        return False
    return _saved(window.H, window.W, window.OH, window.OW, window.top, window.left) >= _LEAST_SAVED


@lru_cache(maxsize=1024)
def _saved(H: int, W: int, OH: int, OW: int, top: int, left: int) -> float:
    """Divide the products of a map the direct way, which leaves out padding, by those of its tiles."""

    def taps(size: int, cells: int, before: int) -> int:
        return sum(max(0, min(size, i + 3) - max(0, i)) for i in range(-before, cells - before))

    tiles = -(-OH // 2) * -(-OW // 2)
    return taps(H, OH, top) * taps(W, OW, left) / (16 * tiles)
