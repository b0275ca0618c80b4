"""Small images for the fuzz tests of estimators, and what may be wrong with them."""

import numpy as np
from hypothesis import strategies as st

IMAGES = st.tuples(st.integers(4, 12), st.integers(1, 6), st.integers(1, 6), st.sampled_from([1, 1, 3]))
SEEDS = st.integers(0, 2**32)
BAD = (
    "none",
    "none",
    "none",
    "none",
    "none",
    "none",
    "NaN",
    "infinite",
    "masked",
    "complex",
    "no rows",
    "1-D",
    "5-D",
    "text",
)


def pictures(shape, seed, dtype="f4"):
    """Make noise around 0, with labels that follow from it."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal(shape)
    y = np.arange(len(X)) % 2
    X[y == 1] += 1
    X = (np.clip(X, -3, 3) + 3) * 40 if dtype == "u1" else X
    return X.astype(dtype), y


def spoil(X, how):
    """Return the images with a fault, and the message about it."""
    X = X.astype(float) if how in ("NaN", "infinite") else X.copy()
    if how in ("NaN", "infinite"):
        X.flat[X.size // 2] = {"NaN": np.nan, "infinite": -np.inf}[how]
        return X, [({"NaN": "NaN", "infinite": "infinity"}[how],)]
    if how == "masked":
        return np.ma.masked_array(X), [("asked",)]
    if how == "complex":
        return X + 1j, [("omplex",)]
    if how == "no rows":
        return X[:0], [("0 sample(s)",)]
    if how == "1-D":
        return X.ravel(), [("1D array",), ("shape",), ("inconsistent",)]
    if how == "5-D":
        return X[None], [("dim 5",), ("shape",)]
    if how == "text":
        return np.full(X.shape, "a"), [("string",), ("real numbers",)]
    return X, []
