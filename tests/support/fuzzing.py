"""What the fuzz tests share: counted cases, odd arguments, arrays in odd memory, and the one property.

Property of every call: it gives what the oracle gives and leaves its arguments as they were, or it raises
TypeError or ValueError with the name and the value of an argument that is illegal. What is legal the tests
decide themselves: an undue refusal fails as well as a wrong number does.
"""

import contextlib
import faulthandler
import functools
import tempfile
import warnings
from collections import Counter
from dataclasses import dataclass

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

CI_CASES, NIGHTLY_CASES = 14, 650  # per unit of weight
SECONDS = 120  # after which a case counts as hanging: thousands of times what the slowest takes

cases: Counter[str] = Counter()  # that ran to their end, by test
planned: Counter[str] = Counter()
covered: set[str] = set()  # public names that fuzz tests call
stderr = 2


@contextlib.contextmanager
def watched():
    """End the process, with a traceback, if the block takes too long."""
    faulthandler.dump_traceback_later(SECONDS, exit=True, file=stderr)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def fuzz(*names, weight=1, **strategies):
    """A hypothesis test of some public names; `weight` says how many cases it gets, beside others."""

    def decorate(test):
        @functools.wraps(test)
        def counted(**drawn):
            with watched():
                test(**drawn)
            cases[test.__name__] += 1

        covered.update(names)
        planned[test.__name__] = round(weight * settings.default.max_examples)
        return settings(max_examples=planned[test.__name__])(given(**strategies)(counted))

    return decorate


# ------------------------------------------------------------------------------------ the property


def outcome(call, faults=(), impossible=False):
    """Return what a call returns; None if it refused, as it had to.

    Parameters
    ----------
    faults : sequence of tuples of str
        What is wrong with the arguments: a refusal has to contain all words of one of them.
    impossible : bool
        Whether the result is larger than any memory: then MemoryError is right, or words on the size.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            result = call()
        except MemoryError:
            assert impossible, "no such memory is needed"
            return None
        except (TypeError, ValueError) as error:
            said = str(error)
            explained = any(all(word in said for word in fault) for fault in faults)
            too_large = impossible and "too large" in said
            if not (explained or too_large):
                raise AssertionError(f"refused with {said!r}; illegal is {list(faults) or 'nothing'}") from error
            return None
    assert not faults, f"accepted, though illegal: {faults}"
    assert not impossible, "accepted, though no memory holds the result"
    return result


def assert_close(found, expected, scale, dtype, exact=False, *, spreads=False):
    """Equal to rounding, which grows with `scale`; where no finite number is right, none is given.

    With `spreads` other cells may be without a finite number too.
    """
    assert found.shape == expected.shape, (found.shape, expected.shape)
    assert found.dtype == dtype
    if exact:
        np.testing.assert_array_equal(found, expected)
        return
    tolerance = {4: 1e-5, 8: 1e-13}[np.dtype(dtype).itemsize]
    largest = np.max(scale, initial=0.0, where=np.isfinite(scale))
    sure = np.broadcast_to(~(np.abs(scale) > np.finfo(dtype).max / 64), expected.shape)  # sums may overflow
    finite = sure & np.isfinite(expected)
    assert not np.isfinite(found)[sure & ~finite].any()
    assert spreads or np.isfinite(found)[finite].all()
    finite &= np.isfinite(found)
    tiny = 64 * float(np.finfo(dtype).smallest_subnormal)
    assert (np.abs(found[finite] - expected[finite]) <= tolerance * largest + tiny).all()


class Unchanged:
    """Check that arrays keep their bytes while a block runs."""

    def __init__(self, *arrays):
        self.arrays = [array for array in arrays if isinstance(array, np.ndarray) and array.dtype != object]

    def __enter__(self):
        self.before = [array.tobytes() for array in self.arrays]

    def __exit__(self, *error):
        assert [array.tobytes() for array in self.arrays] == self.before


# ------------------------------------------------------------------------------- single arguments

HUGE = (2**31, 2**40, 2**62, 2**63, 2**64, 2**70)
NO_INTEGERS = (
    True, False, np.True_, None, 1.0, 2.5, np.float64(2), float("nan"), float("inf"), 1j, "2", "", b"2", object,
    {}, (1,), (1, 2, 3), (), [], (1, None), ("1", 2), ((1, 1), 2), ((1, 2, 3), (1, 2)), np.array([1, 2]),
    np.array(1.0),
)  # fmt: skip
INTEGERS = (0, -1, 1, 2, 5, np.int8(2), np.uint64(3), np.array(2), *HUGE, *(-size for size in HUGE))


def is_whole(value):
    """Return whether a value counts as an integer: an int, also NumPy's, but not a bool."""
    if isinstance(value, np.ndarray):
        return value.ndim == 0 and value.dtype.kind in "iu"
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def int_fault(name, value, least):
    """Return what a refusal of an integer parameter says; an empty list if it is legal."""
    if not is_whole(value):
        return [(name, repr(value))]
    return [] if int(value) >= least else [(name, str(int(value)))]


def switch_fault(name, value):
    """Likewise for a switch."""
    return [] if isinstance(value, (bool, np.bool_)) else [(name, repr(value))]


def real_fault(name, value, *, least=None, above=None, below=None, most=None):
    """Likewise for a real number."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        return [(name, repr(value))]
    shown = repr(value)
    value = float(value) if isinstance(value, np.floating) else value
    legal = -1.7e308 < value < 1.7e308
    legal = legal and (least is None or value >= least) and (above is None or value > above)
    legal = legal and (below is None or value < below) and (most is None or value <= most)
    return [] if legal else [(name, shown)]


def pair_fault(name, value, least):
    """Likewise for an int or a pair."""
    if not isinstance(value, (tuple, list)):
        return int_fault(name, value, least)
    if len(value) != 2:
        return [(name, repr(value))]
    return [fault for item in value for fault in int_fault(name, item, least)]


def padding_fault(value):
    """Likewise for padding in all its spellings."""
    if isinstance(value, str):
        return [] if value in ("same", "valid") else [("padding", repr(value))]
    if isinstance(value, (tuple, list)) and len(value) != 2:
        return [("padding", repr(value))]
    if isinstance(value, (tuple, list)) and all(isinstance(side, (tuple, list)) for side in value):
        return [fault for side in value for fault in pair_fault("padding", side, 0)]
    return pair_fault("padding", value, 0)


def threads_fault(value, name="n_threads"):
    """Likewise for a number of threads."""
    if value is None:
        return []
    if not is_whole(value):
        return [(name, repr(value))]
    return [] if value else [(name, "0")]


def plain(value):
    """Convert NumPy's integers and lists to Python's ints and tuples."""
    if isinstance(value, (tuple, list)):
        return tuple(plain(item) for item in value)
    return int(value) if is_whole(value) else value


def both(value):
    """Return a legal int or pair as a pair."""
    value = plain(value)
    return value if isinstance(value, tuple) else (value, value)


def odd(legal=None):
    """Return a strategy: mostly legal values, sometimes any value at all."""
    strange = st.sampled_from(NO_INTEGERS + INTEGERS)
    return strange if legal is None else st.one_of(*[legal] * 11, strange)


real_numbers = st.one_of(
    *[st.floats(1e-3, 10)] * 6, st.floats(-1e6, 1e6), st.integers(-3, 100),
    st.sampled_from([np.float32(0.5), np.int16(2), 0.0, float("nan"), float("inf"), 1e300, 10**400, -1.0]), odd(),
)  # fmt: skip


def small_pairs(low, high):
    """Ints and pairs of them, in several spellings."""
    number = st.integers(low, high)
    pair = st.tuples(number, number)
    return st.one_of(number, pair, pair.map(list), number.map(np.int64))


PADDINGS = st.one_of(
    small_pairs(0, 3),
    st.sampled_from(["same", "valid"]),
    st.tuples(*[st.tuples(st.integers(0, 3), st.integers(0, 3))] * 2),
    st.sampled_from(["SAME", "full", "", (0, (1, 2)), ((1, 2),), (-1, 0)]),
)
THREADS = st.one_of(st.none(), st.sampled_from([1, 2, 3, -1, np.int32(2)]), odd())


# ----------------------------------------------------------------------------------------- arrays

FLOATS = (np.dtype("f4"), np.dtype("f8"))
OTHERS = ("f2", "g", "i4", "u1", "?", "c8", "c16", "O", "U3", "M8[s]")
KINDS = ("integers", "integers", "normal", "special")
SPECIAL = (0.0, -0.0, np.nan, np.inf, -np.inf, 1e-40, -1e-310, 1e30, -1e30, 1.0)


@dataclass
class Numbers:
    """How the arrays of a case are filled: by what kind of number, from which seed, in which precision."""

    kind: str
    dtype: np.dtype
    rng: np.random.Generator

    @property
    def exact(self):
        """Return whether sums of products are exact in any order."""
        return self.kind == "integers"

    def array(self, *shape, special=True):
        """Make an array; without `special` its numbers are finite and of ordinary size."""
        if self.exact:
            return self.rng.integers(-4, 5, shape).astype(self.dtype)
        numbers = self.rng.standard_normal(shape)
        if self.kind == "special" and special:
            rare = self.rng.random(shape) < 0.1
            with np.errstate(under="ignore"):
                numbers = np.where(rare, self.rng.choice(SPECIAL, shape), numbers).astype(self.dtype)
        return np.asarray(numbers, self.dtype)


numbers = st.builds(
    lambda kind, dtype, seed: Numbers(kind, dtype, np.random.default_rng(seed)),
    st.sampled_from(KINDS), st.sampled_from(FLOATS), st.integers(0, 2**32),
)  # fmt: skip


class Wrapped:
    """An object that is not an array but converts to one."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array


class Subclass(np.ndarray):
    """Return the array as another class."""


def _strided(x):
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]) if x.ndim else (), x.dtype)
    wide[..., ::2] = x
    return wide[..., ::2]


def _unaligned(x):
    raw = np.zeros(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
    raw[...] = x
    return raw


def _read_only(x):
    copy = x.copy()
    copy.flags.writeable = False
    return copy


def _mapped(x):
    """On the disk, read-only; NumPy maps no file without bytes."""
    if not x.nbytes:
        return x
    with tempfile.TemporaryFile() as file:
        file.write(x.tobytes())
        file.flush()
        return np.memmap(file, x.dtype, "r", shape=x.shape)


LAYOUTS = {
    "plain": lambda x: x,
    "columns first": lambda x: np.asfortranarray(x) if x.ndim else x,
    "backwards": lambda x: np.ascontiguousarray(x[::-1])[::-1] if x.ndim else x,
    "mirrored": lambda x: np.ascontiguousarray(x[..., ::-1])[..., ::-1] if x.ndim else x,
    "every second": lambda x: _strided(x) if x.ndim else x,
    "unaligned": _unaligned,
    "read-only": _read_only,
    "swapped": lambda x: x.astype(x.dtype.newbyteorder()),
    "mapped": _mapped,
    "subclass": lambda x: x.view(Subclass),
    "wrapped": Wrapped,
}
layouts = st.sampled_from(["plain", *LAYOUTS]).map(LAYOUTS.get)


def lay(layout, array):
    """Return the array in another memory layout that is legal."""
    return layout(array) if type(array) is np.ndarray and array.dtype in FLOATS else array


def of_other_dtype(x, code):
    """Return the same shape in a dtype other than float32 and float64."""
    if code in ("U3", "M8[s]"):
        return np.zeros(x.shape, code)
    return np.zeros(x.shape).astype(code)


def array_fault(name, x, ndim, from_axis=1):
    """Return what a refusal of an array argument says; an empty list if it is legal."""
    if isinstance(x, np.ma.MaskedArray):
        return [(name, "masked")]
    array = np.asarray(x)
    if array.dtype.newbyteorder("=") not in FLOATS:
        return [(name, str(array.dtype))]
    if array.ndim != ndim:
        return [(name, f"{ndim} axes", str(array.shape))]
    return [(name, str(array.shape))] if 0 in array.shape[from_axis:] else []


def spoilt(x):
    """Return a strategy: mostly the array itself, sometimes one that is illegal."""
    wrong = [of_other_dtype(x, code) for code in OTHERS]
    wrong += [np.ma.masked_array(x), x[..., None], x[None], x[..., :0], x.astype(x.dtype).ravel()]
    return st.one_of(*[st.just(x)] * 9, st.sampled_from(wrong))
