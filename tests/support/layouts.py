"""Arrays that hold the same values in other memory."""

import numpy as np


def unusual(x):
    """Return `x` in F order, strided, unaligned, read-only, backwards, and in the other byte order."""
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    wide[..., ::2] = x
    raw = np.zeros(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
    raw[...] = x
    read_only = x.copy()
    read_only.flags.writeable = False
    backwards = np.ascontiguousarray(x[::-1])[::-1]
    return [np.asfortranarray(x), wide[..., ::2], raw, read_only, backwards, x.astype(x.dtype.newbyteorder())]
