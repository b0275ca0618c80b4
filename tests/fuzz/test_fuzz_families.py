"""Small families with arbitrary arguments, compared with their formulas."""

import math

import activation_oracles
import numpy as np
from fuzzing import (
    OTHERS,
    THREADS,
    Unchanged,
    assert_close,
    fuzz,
    int_fault,
    lay,
    layouts,
    numbers,
    odd,
    of_other_dtype,
    outcome,
    real_fault,
    real_numbers,
    threads_fault,
)
from hypothesis import strategies as st
from scipy import special

from pyconvx import activations, initializers, losses, schedules, solvers

# ------------------------------------------------------------------------------------- activations

ROWS = ("softmax", "log_softmax")
NAMES = sorted(activation_oracles.VALUES)
SHAPES = st.lists(st.sampled_from([1, 2, 3, 5, 17, 0]), max_size=4).map(tuple)


def named_activations():
    """Every built-in activation that the package exports."""
    return {f"activations.{name}" for name in NAMES}


def spoilt_array(x):
    """Return a strategy: an array of any shape, and the fault that it may have."""
    wrong = [(of_other_dtype(x, code), str(np.dtype(code))) for code in OTHERS] + [
        (np.ma.masked_array(x), "masked")
    ]
    return st.one_of(*[st.just((x, ""))] * 11, st.sampled_from(wrong))


def values_at(name, x):
    """Compute the function in float64, with its limits at the infinities."""
    with np.errstate(all="ignore"):
        y = np.asarray(activation_oracles.VALUES[name](np.float64(x)))
    if name not in ROWS:
        low, high = activation_oracles.LIMITS[name]
        y = np.where(np.isneginf(x), low, np.where(np.isposinf(x), high, y))
    return y


CALLED = {
    "name": st.sampled_from(NAMES),
    "filled": numbers,
    "shape": SHAPES,
    "layout": layouts,
    "n_threads": THREADS,
    "data": st.data(),
}
CLASSES = ("activations.CompiledActivation", "activations.Softmax", "activations.LogSoftmax")


@fuzz(*named_activations(), *CLASSES, weight=4, **CALLED)
def test_activation_forward(name, filled, shape, layout, n_threads, data):
    x, why = data.draw(spoilt_array(filled.array(*shape)))
    faults = threads_fault(n_threads) + ([("x", why)] if why else [])
    with Unchanged(x):
        y = outcome(lambda: getattr(activations, name).forward(lay(layout, x), n_threads=n_threads), faults)
    if y is None or (name in ROWS and not shape):
        return
    expected = values_at(name, x) if x.size else np.zeros(shape)
    magnitude = np.abs(np.float64(x))
    scale = 8 + (magnitude if magnitude.max(initial=0, where=np.isfinite(x)) > 1e20 else 4 * magnitude)
    assert_close(y, expected, np.where(np.isfinite(scale), scale, 0.0), filled.dtype)


@fuzz(*named_activations(), weight=4, **CALLED)
def test_activation_backward(name, filled, shape, layout, n_threads, data):
    function = getattr(activations, name)
    x, dy = (filled.array(*shape, special=False) + filled.dtype.type(0.15) for _ in range(2))
    y = function.forward(x)
    faults = threads_fault(n_threads)
    which = data.draw(st.sampled_from(["x", "y", "dy"]))
    arrays = {"dy": dy, "x": x, "y": y}
    arrays[which], why = data.draw(spoilt_array(arrays[which]))
    faults += [(which, why)] if why else []
    if data.draw(st.integers(0, 9)) == 0 and shape and not why:
        arrays[which] = np.concatenate([arrays[which]] * 2)
        faults += [(name if which == "dy" else which, str(shape))] if arrays[which].shape != shape else []
    given = [lay(layout, array) for array in arrays.values()]
    with Unchanged(*arrays.values()):
        dx = outcome(lambda: function.backward(*given, n_threads=n_threads), faults)
    if dx is None or (name in ROWS and not shape):
        return
    x, y, dy = np.float64(x), np.float64(y), np.float64(dy)
    if name == "softmax":
        expected = y * (dy - (y * dy).sum(-1, keepdims=True))
    elif name == "log_softmax":
        expected = dy - np.exp(y) * dy.sum(-1, keepdims=True)
    else:
        step = 1e-5
        expected = dy * (values_at(name, x + step) - values_at(name, x - step)) / (2 * step)
    assert dx.dtype == filled.dtype
    away = np.ones(shape, bool)  # from the points at which the slope jumps
    for kink in activation_oracles.KINKS.get(name, ()):
        away &= np.abs(x - kink) > 1e-4
    np.testing.assert_allclose(dx[away], expected[away], rtol=1e-4, atol=1e-4)


@fuzz(
    "activations.name_of",
    "activations.initializer_of",
    "activations.verify",
    weight=1,
    thing=st.one_of(odd(), st.sampled_from([np.sin, activations.relu, activations.Softmax, len])),
)
def test_anything_for_an_activation(thing):
    assert isinstance(activations.name_of(thing), str)
    assert isinstance(activations.initializer_of(thing), str)
    faults = [] if thing is activations.relu else [(repr(thing), "expected"), (repr(thing), "is no activation")]
    outcome(lambda: activations.verify(thing), faults)
    outcome(lambda: activations.CompiledActivation(thing), [("no compiled activation", repr(thing)), ("name",)])


# ------------------------------------------------------------------------------------ initializers

KERNELS = {
    name: getattr(initializers, name)
    for name in initializers.__all__
    if callable(getattr(initializers, name)) and not isinstance(getattr(initializers, name), type)
}
GAINS = {"VarianceScaling": "scale", "Orthogonal": "gain", "Constant": "value", "Dirac": None}


@fuzz(
    *(f"initializers.{name}" for name in [*KERNELS, *GAINS]),
    weight=4,
    name=st.sampled_from([*KERNELS, *GAINS]),
    gain=real_numbers,
    shape=SHAPES,
    seed=st.integers(0, 99),
    fans=st.tuples(*[st.one_of(*[st.integers(1, 50)] * 9, st.sampled_from([0, -1, 2**40]))] * 2),
)
def test_initializers(name, gain, shape, seed, fans):
    made, scaled = KERNELS.get(name), 1.0
    if made is None:
        argument = GAINS[name]
        keywords = {} if argument is None else {argument: gain}
        faults = real_fault(argument, gain, above=0 if name == "VarianceScaling" else None) if argument else []
        made = outcome(lambda: getattr(initializers, name)(**keywords), faults)
        if made is None:
            return
        scaled = float(gain) if argument else 1.0
    faults = []
    if isinstance(made, initializers.VarianceScaling) and min(fans) <= 0:
        faults = [("fan_in" if fans[0] <= 0 else "fan_out", str(fans[0] if fans[0] <= 0 else fans[1]))]
    if isinstance(made, (initializers.Dirac, initializers.Orthogonal)) and len(shape) < 2:
        faults = [("at least two axes", str(shape))]
    values = outcome(lambda: made(shape, *fans, np.random.default_rng(seed)), faults)
    if values is None:
        return
    assert (values.shape, values.dtype) == (shape, np.float64)
    if isinstance(made, initializers.Constant):
        assert (values == {"zeros": 0, "ones": 1}.get(name, scaled)).all()
    elif isinstance(made, initializers.Dirac):
        assert values.sum() == (shape[-1] if values.size else 0)
    elif not values.size:
        pass
    elif isinstance(made, initializers.Orthogonal):
        matrix = values.reshape(-1, shape[-1]) / (scaled or 1.0)  # squares may overflow
        gram = matrix.T @ matrix if matrix.shape[0] >= matrix.shape[1] else matrix @ matrix.T
        np.testing.assert_allclose(gram, bool(scaled) * np.eye(len(gram)), atol=1e-9)
    elif made.distribution == "uniform":
        assert (np.abs(values) <= math.sqrt(3) * made.std(*fans)).all()


RANDOM = {  # the class, its parameters and the limit of its numbers in parameters
    "RandomNormal": ("mean", "std", np.inf),
    "RandomUniform": ("low", "high", None),
    "TruncatedNormal": ("mean", "std", 2.0),
}


@fuzz(
    *(f"initializers.{name}" for name in RANDOM),
    weight=2,
    name=st.sampled_from([*RANDOM]),
    first=real_numbers,
    second=real_numbers,
    shape=SHAPES,
    seed=st.integers(0, 99),
)
def test_initializers_of_a_given_scale(name, first, second, shape, seed):
    low, high, cut = RANDOM[name]
    faults = real_fault(low, first) + real_fault(high, second, above=0 if high == "std" else None)
    if not faults and name == "RandomUniform" and not first < second:
        faults = [("low must be less than high", repr(first))]
    made = outcome(lambda: getattr(initializers, name)(**{low: first, high: second}), faults)
    if made is None:
        return
    values = made(shape, 1, 1, np.random.default_rng(seed))
    assert (values.shape, values.dtype) == (shape, np.float64)
    if name == "RandomUniform":
        assert ((first <= values) & (values <= second)).all()
    else:
        assert (np.abs(values - float(first)) <= cut * float(second) * (1 + 1e-9) + 1e-9 * abs(first)).all()


# ------------------------------------------------------------------------------------------ losses


def wrong_memory(array, other_dtype):
    """Return a strategy: an array that a kernel cannot use without a copy, and the message about it."""
    wide = np.repeat(array, 2, axis=-1)[..., ::2]
    wrong = [(array.astype(other_dtype), str(np.dtype(other_dtype))), (None, "NoneType"), (array.tolist(), "list")]
    if array.size > 1:
        wrong += [(wide, "C-contiguous")]
    wrong += [(array[None], "axes"), (array.astype(array.dtype.newbyteorder()), "must be")]
    return st.sampled_from(wrong)


@fuzz(
    "losses.SquaredError",
    "losses.Huber",
    weight=1,
    filled=numbers,
    shape=st.lists(st.integers(1, 4), max_size=2),
    N=st.integers(0, 5),
    delta=st.one_of(st.none(), *[st.floats(1e-3, 1e3)] * 9, odd()),
    n_threads=st.one_of(st.integers(1, 4), odd()),
    data=st.data(),
)
def test_value_losses(filled, shape, N, delta, n_threads, data):
    if delta is None:
        loss = losses.SquaredError()
    else:
        loss = outcome(lambda: losses.Huber(delta), real_fault("delta", delta, above=0))
    if loss is None:
        return
    arrays = {
        "outputs": filled.array(N, *shape, special=False),
        "targets": filled.array(N, *shape, special=False),
        "weights": np.abs(filled.array(N, special=False)),
        "gradient": np.full((N, *shape), np.nan, filled.dtype),
    }
    faults, names = threads_fault(n_threads), sorted(arrays)
    outputs, targets, weights, gradient = arrays.values()
    if data.draw(st.integers(0, 4)) == 0:
        name = data.draw(st.sampled_from(names))
        arrays[name], why = data.draw(wrong_memory(arrays[name], np.float16))
        faults += [(name, why)]
        if name == "outputs":  # the others then have another dtype, or another number of axes
            faults += [(other, words) for other in names for words in ("must be", "axes")]
    with Unchanged(outputs, targets, weights):
        value = outcome(lambda: loss.value_and_gradient(*arrays.values(), n_threads=n_threads), faults)
    if value is None:
        return
    difference = np.float64(outputs) - targets
    limit = np.inf if delta is None else float(delta)
    far = np.abs(difference) > limit
    cells = np.where(far, 0, difference**2 / 2)
    cells[far] = limit * (np.abs(difference[far]) - limit / 2)
    per_row = max(1, int(np.prod(shape)))
    expected = (cells.reshape(N, per_row).mean(axis=1) * weights).sum()
    np.testing.assert_allclose(value, expected, rtol=1e-9)
    slope = np.clip(difference, -limit, limit) * weights.astype(np.float64).reshape(N, *[1] * len(shape)) / per_row
    np.testing.assert_allclose(gradient, slope, rtol=1e-5, atol=1e-30)
    np.testing.assert_array_equal(loss.predictions(outputs), outputs)


@fuzz(
    "losses.BinaryCrossEntropy",
    weight=1,
    filled=numbers,
    shape=st.lists(st.integers(1, 4), max_size=2),
    N=st.integers(0, 5),
    smoothing=st.one_of(*[st.floats(0, 1)] * 9, odd()),
    n_threads=st.one_of(st.integers(1, 4), odd()),
    seed=st.integers(0, 9),
)
def test_binary_cross_entropy(filled, shape, N, smoothing, n_threads, seed):
    faults = real_fault("label_smoothing", smoothing, least=0)
    if not faults and smoothing > 1:
        faults = [("label_smoothing",)]
    loss = outcome(
        lambda: losses.BinaryCrossEntropy(smoothing), [*faults, *(("label_smoothing",) for _ in faults)]
    )
    if loss is None:
        return
    outputs = np.clip(filled.array(N, *shape, special=False), -30, 30)
    targets = (np.random.default_rng(seed).random(outputs.shape) < 0.5).astype(filled.dtype)
    weights = np.abs(filled.array(N, special=False))
    gradient = np.full((N, *shape), np.nan, filled.dtype)
    with Unchanged(outputs, targets, weights):
        arguments = outputs, targets, weights, gradient
        value = outcome(lambda: loss.value_and_gradient(*arguments, n_threads=n_threads), threads_fault(n_threads))
    if value is None:
        return
    wanted = targets * (1 - float(smoothing)) + float(smoothing) / 2
    p = 1 / (1 + np.exp(-outputs.astype(np.longdouble)))
    cells = -(wanted * np.log(p) + (1 - wanted) * np.log1p(-p))
    expected = (cells.reshape(N, -1 if N else 1).sum(axis=1) * weights).sum()
    np.testing.assert_allclose(value, float(expected), rtol=1e-5, atol=1e-9)
    slope = (p - wanted) * weights.astype(np.float64).reshape(N, *[1] * len(shape))
    np.testing.assert_allclose(
        gradient, slope.astype(np.float64), rtol=1e-4, atol=1e-6 * max(1, weights.max(initial=0))
    )
    np.testing.assert_allclose(loss.predictions(outputs), p.astype(np.float64), rtol=1e-5)


@fuzz(
    "losses.CrossEntropy",
    weight=3,
    filled=numbers,
    N=st.integers(0, 5),
    K=st.integers(1, 6),
    smoothing=st.one_of(*[st.floats(0, 1)] * 9, odd()),
    n_threads=st.one_of(st.integers(1, 4), odd()),
    data=st.data(),
)
def test_cross_entropy(filled, N, K, smoothing, n_threads, data):
    loss = outcome(
        lambda: losses.CrossEntropy(smoothing), real_fault("label_smoothing", smoothing, least=0, most=1)
    )
    if loss is None:
        return
    arrays = {
        "logits": filled.array(N, K, special=False),
        "targets": filled.rng.integers(0, K + data.draw(st.sampled_from([0] * 19 + [1])), N),
        "weights": np.abs(filled.array(N, special=False)),
        "gradient": np.full((N, K), np.nan, filled.dtype),
    }
    faults, names = threads_fault(n_threads), sorted(arrays)
    logits, targets, weights, gradient = arrays.values()
    if N and targets.max() >= K:
        faults += [("targets", str(targets.max()))]
    if data.draw(st.integers(0, 4)) == 0:
        name = data.draw(st.sampled_from(names))
        arrays[name], why = data.draw(wrong_memory(arrays[name], np.float16))
        faults += [(name, why)]
        if name == "logits":  # the others then have another dtype
            faults += [(other, "must be") for other in names]
    with Unchanged(logits, targets, weights):
        value = outcome(lambda: loss.value_and_gradient(*arrays.values(), n_threads=n_threads), faults)
    if value is None:
        return
    q = np.eye(K)[targets] * (1 - smoothing) + smoothing / K
    rows = special.logsumexp(np.float64(logits), axis=1) - (q * logits).sum(1)
    slack = 1e-5 if filled.dtype == np.float32 else 1e-12
    assert abs(value - (weights * rows).sum()) <= slack * (1 + np.abs(weights).sum()) * 10
    expected = weights[:, None] * (special.softmax(np.float64(logits), axis=1) - q)
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=slack * (1 + weights.max(initial=0)))
    found = loss.predictions(logits)
    np.testing.assert_allclose(found, special.softmax(np.float64(logits), axis=1), atol=slack)


# --------------------------------------------------------------------------------------- schedules

SCHEDULES = {
    "Constant": {},
    "Adaptive": {},
    "Step": {"every": {"above": 0}, "rate": {"least": 0}},
    "Exponential": {"rate": {"least": 0}},
    "InvScaling": {"power_t": {}},
    "Cosine": {"warm_up": {"least": 0}, "floor": {"least": 0}},
    "OneCycle": {"rise": {"least": 0}, "start": {"above": 0}, "end": {"least": 0}},
}


def half_cosine(start, end, part):
    part = min(max(part, 0), 1)
    return end + (start - end) * (1 + math.cos(math.pi * part)) / 2


def factor_of(name, values, progress):
    """Return the formula's factor; None if a power is too large for a float."""
    values = {key: float(value) for key, value in values.items()}
    epoch, last = progress.epoch, float(progress.max_epochs)
    if name == "Cosine":
        warm_up, floor = values["warm_up"], values["floor"]
        if epoch < warm_up:
            return epoch / warm_up
        return half_cosine(1, floor, (epoch - warm_up) / (last - warm_up) if last > warm_up else 1)
    if name == "OneCycle":
        rise, part = values["rise"], epoch / last
        if part < rise:
            return half_cosine(values["start"], 1, part / rise)
        return half_cosine(1, values["end"], (part - rise) / (1 - rise) if rise < 1 else 1)
    base, exponent = {
        "Constant": lambda: (1, 1),
        "Adaptive": lambda: (5, -float(progress.stalls)),
        "Step": lambda: (values["rate"], epoch // values["every"]),
        "Exponential": lambda: (values["rate"], epoch),
        "InvScaling": lambda: (float(progress.samples_seen) + 1, -values["power_t"]),
    }[name]()
    try:
        return float(base) ** float(exponent)
    except OverflowError:
        return math.inf


@fuzz(
    *(f"schedules.{name}" for name in [*SCHEDULES, "Progress"]),
    weight=3,
    name=st.sampled_from(list(SCHEDULES)),
    values=st.lists(real_numbers, min_size=3, max_size=3),
    counts=st.lists(odd(st.integers(0, 10**6)), min_size=3, max_size=3),
    epoch=st.floats(0, 2000),
    max_epochs=odd(st.integers(1, 1000)),
)
def test_schedules(name, values, counts, epoch, max_epochs):
    faults = [
        fault
        for value, label in zip(counts, ("step", "samples_seen", "stalls"), strict=True)
        for fault in real_fault(label, value, least=0)
    ]
    faults += real_fault("max_epochs", max_epochs, least=1)
    step, seen, stalls = counts
    progress = outcome(lambda: schedules.Progress(step, epoch, max_epochs, seen, stalls), faults)
    if progress is None:
        return
    values = dict(zip(SCHEDULES[name], values, strict=False))
    faults = [f for key, value in values.items() for f in real_fault(key, value, **SCHEDULES[name][key])]
    got = outcome(lambda: getattr(schedules, name)(**values).factor(progress), faults)
    if got is not None:
        expected = factor_of(name, values, progress)
        assert type(got) is float
        assert got == expected or math.isclose(got, expected, rel_tol=1e-9, abs_tol=1e-9)


# ----------------------------------------------------------------------------------------- solvers

SOLVERS = {
    "SGD": {"momentum": (0.9, {"least": 0, "below": 1})},
    "Adam": {
        "beta_1": (0.9, {"least": 0, "below": 1}),
        "beta_2": (0.99, {"least": 0, "below": 1}),
        "epsilon": (1e-8, {"above": 0}),
    },
    "AdamW": {"beta_1": (0.9, {"least": 0, "below": 1}), "weight_decay": (0.1, {"least": 0})},
    "RMSprop": {
        "rho": (0.9, {"least": 0, "below": 1}),
        "momentum": (0.5, {"least": 0, "below": 1}),
        "epsilon": (1e-6, {"above": 0}),
    },
}


def stepped(solver, p, g, slots, rate, t, n_weights):
    """Compute parameters and slots after one step, by the formulas in float64."""
    p, g, slots = np.float64(p), np.float64(g), np.float64(slots)
    if isinstance(solver, solvers.SGD):
        v = solver.momentum * slots[0] - rate * g
        return p + (solver.momentum * v - rate * g if solver.nesterov else v), v[None]
    if isinstance(solver, solvers.RMSprop):
        s = solver.rho * slots[0] + (1 - solver.rho) * g**2
        v = solver.momentum * slots[1] - rate * g / (np.sqrt(s) + solver.epsilon)
        return p + v, np.array([s, v])
    m = solver.beta_1 * slots[0] + (1 - solver.beta_1) * g
    s = solver.beta_2 * slots[1] + (1 - solver.beta_2) * g**2
    if isinstance(solver, solvers.AdamW):
        p = np.where(np.arange(p.size) < n_weights, p * (1 - rate * solver.weight_decay), p)
    a = rate * math.sqrt(1 - solver.beta_2**t) / (1 - solver.beta_1**t)
    return p - a * m / (np.sqrt(s) + solver.epsilon), np.array([m, s])


@fuzz(
    *(f"solvers.{name}" for name in SOLVERS),
    weight=4,
    name=st.sampled_from(list(SOLVERS)),
    filled=numbers,
    n=st.sampled_from([0, 1, 2, 17, 100]),
    rate=st.sampled_from([1e-3, 0.1, 0, np.float32(0.5), 1]),
    t=odd(st.integers(1, 1000)),
    n_weights=odd(st.integers(0, 20)),
    n_threads=st.one_of(st.integers(1, 3), odd()),
    data=st.data(),
)
def test_solvers(name, filled, n, rate, t, n_weights, n_threads, data):
    values = {
        key: data.draw(st.one_of(*[st.just(usual)] * 9, real_numbers)) for key, (usual, _) in SOLVERS[name].items()
    }
    faults = [f for key, value in values.items() for f in real_fault(key, value, **SOLVERS[name][key][1])]
    solver = getattr(solvers, name)(**values)
    p, g = filled.array(n, special=False), filled.array(n, special=False)
    slots = np.abs(filled.array(solver.slots, n, special=False))
    faults += int_fault("t", t, 1) + int_fault("n_weights", n_weights, 0)
    faults += threads_fault(n_threads) if n_threads is not None else []
    if not int_fault("n_weights", n_weights, 0) and n_weights > n:
        faults += [("n_weights", str(n), str(int(n_weights)))]
    arrays = {"parameters": p, "gradients": g, "slots": slots}
    if data.draw(st.integers(0, 5)) == 0:
        key = data.draw(st.sampled_from(sorted(arrays)))
        arrays[key], why = data.draw(wrong_memory(arrays[key], np.float16))
        faults += [(key, why)] + ([("gradients", "must be")] if key == "parameters" else [])
    before = [a.copy() for a in (p, slots)]
    with Unchanged(g):
        outcome(lambda: solver.step(*arrays.values(), rate, t, n_weights=n_weights, n_threads=n_threads), faults)
    if faults:
        np.testing.assert_array_equal(p, before[0])
        return
    solver = type(solver)(**{key: float(value) for key, value in values.items()})
    expected = stepped(solver, before[0], g, before[1], float(rate), int(t), int(n_weights))
    for found, right in zip((p, slots), expected, strict=True):
        slack = 1e-4 if filled.dtype == np.float32 else 1e-11
        np.testing.assert_allclose(found, right, rtol=slack, atol=slack)
