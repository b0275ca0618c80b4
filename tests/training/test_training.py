"""The training loop: batches from any memory, whole epochs or none, stopping, the objective."""

import inspect
import math

import numpy as np
import pytest
from nets import MIXED, PLAIN, RELU, outputs, passes, pictures, trainer
from sklearn.neural_network import MLPClassifier

from pyconvx.exceptions import DivergenceError, PluginError
from pyconvx.layers import Conv2D, Dense, Dropout, Flatten, Layer, Randomness
from pyconvx.losses import CrossEntropy
from pyconvx.network import Network
from pyconvx.schedules import Adaptive, Constant, Progress
from pyconvx.solvers import SGD, Adam
from pyconvx.training import ArraySource, Trainer, TrainingData, TrainingOptions
from pyconvx.training.state import TrainingState

SHAPE = (8, 7, 2)
X, Y = pictures(20)


def net(layers=PLAIN, dtype=np.float64):
    return Network(layers, SHAPE, dtype=dtype)


def read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


def unaligned(x):
    raw = np.zeros(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
    raw[...] = x
    return raw


def mapped(x, path):
    np.save(path / "x.npy", x)
    return np.load(path / "x.npy", mmap_mode="r")


def spread(x):
    wide = np.zeros((2 * len(x), *x.shape[1:-1], 3 * x.shape[-1]), x.dtype)
    wide[::2, ..., ::3] = x
    return wide[::2, ..., ::3]


LAYOUTS = {
    "Fortran order": lambda x, path: np.asfortranarray(x),
    "big-endian": lambda x, path: x.astype(x.dtype.newbyteorder(">")),
    "read-only": lambda x, path: read_only(x),
    "unaligned": lambda x, path: unaligned(x),
    "memory map": mapped,
    "Fortran memory map": lambda x, path: mapped(np.asfortranarray(x), path),
    "every other": lambda x, path: spread(x),
    "rows backwards": lambda x, path: np.ascontiguousarray(x[::-1])[::-1],
    "channels backwards": lambda x, path: np.ascontiguousarray(x[..., ::-1])[..., ::-1],
    "flat": lambda x, path: x.reshape(len(x), -1),
    "flat, Fortran order": lambda x, path: np.asfortranarray(x.reshape(len(x), -1)),
}
DTYPES = [np.uint8, np.int16, np.int64, np.bool_, np.float16, np.float32, np.float64]


def drawn(x, index, dtype, **options):
    out = np.full((len(index), *SHAPE), np.nan, dtype)
    ArraySource(x, SHAPE, **options).take(np.asarray(index, np.int64), out, options.pop("n_threads", 1))
    return out


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", DTYPES, ids=lambda kind: np.dtype(kind).name)
def test_any_memory_gives_the_same_batches(layout, kind, tmp_path):
    index = [5, 0, 19, 5, 7]
    x = (np.random.default_rng(0).uniform(0, 200, (20, *SHAPE))).astype(kind)
    scale = 1 / 255 if kind == np.uint8 else 1
    for dtype in (np.float32, np.float64):
        plain = drawn(x, index, dtype)
        np.testing.assert_allclose(plain, x[index].astype(np.float64) * scale, rtol=2e-7)
        before = x.tobytes()
        np.testing.assert_array_equal(drawn(LAYOUTS[layout](x, tmp_path), index, dtype), plain)
        first = np.moveaxis(x, -1, 1)
        for order in (first, np.ascontiguousarray(first)):
            turned = LAYOUTS[layout](order, tmp_path)
            np.testing.assert_array_equal(drawn(turned, index, dtype, channels_first=True), plain)
        assert x.tobytes() == before


@pytest.mark.parametrize("index", [[-1], [0, 20], [2**62]])
def test_rows_that_are_not_there(index):
    for x in (X, X[:, ::-1]):  # read as they lie, or copied first
        with pytest.raises(ValueError, match=f"rows must be from 0 to 19, got {index[-1]} at {len(index) - 1}"):
            drawn(x, index, np.float32)


def test_batches_do_not_depend_on_threads():
    x = np.random.default_rng(0).integers(0, 256, (5000, *SHAPE)).astype(np.uint8)
    index = np.random.default_rng(1).permutation(5000)
    out = [np.empty((5000, *SHAPE), np.float32) for _ in range(3)]
    for n, array in enumerate(out, start=1):
        ArraySource(x, SHAPE).take(index, array, n)
    np.testing.assert_array_equal(out[0], out[1])
    np.testing.assert_array_equal(out[0], out[2])


def test_a_broadcast_array_is_no_copy():
    x = np.broadcast_to(X[:1], (10**6, *SHAPE))
    np.testing.assert_array_equal(drawn(x, [999_999], np.float64), X[:1])


class Trips(Layer):
    """Hands its input on, and raises at its n-th pass."""

    passes = 0
    at = -1
    error = RuntimeError

    def output_shape(self, input_shape):
        return input_shape

    def forward(self, x, params, context):
        if context.training:
            type(self).passes += 1
        if self.passes == self.at:
            raise self.error("tripped")
        return x, None

    def backward(self, dy, cache, params, grads, context):
        return dy


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, MemoryError, SystemExit])
def test_an_interrupted_epoch_leaves_the_last_whole_one(error, monkeypatch):
    layers = (*MIXED[:7], Trips(), *MIXED[7:])
    settings = {"batch_size": 6, "learning_rate_init": 0.01}
    whole, broken = net(layers), net(layers)
    expected = trainer(whole, X, Y, **settings)
    expected.run(1)
    monkeypatch.setattr(Trips, "passes", 0)
    monkeypatch.setattr(Trips, "at", 7)  # epochs have four batches
    monkeypatch.setattr(Trips, "error", error)
    loop = trainer(broken, X, Y, **settings)
    with pytest.raises(PluginError if error is RuntimeError else error, match="tripped"):
        loop.run(3)
    np.testing.assert_array_equal(broken.buffer, whole.buffer)
    np.testing.assert_array_equal(broken.state_buffer, whole.state_buffer)
    assert (loop.state.epoch, loop.state.step, loop.state.samples_seen) == (1, 4, 20)
    assert loop.state.loss_curve == expected.state.loss_curve
    loop.run(2)  # and it goes on as if nothing had been
    expected.run(2)
    np.testing.assert_array_equal(broken.buffer, whole.buffer)


def test_divergence_keeps_the_last_good_weights():
    network = net()
    start = network.buffer.copy()
    loop = trainer(network, X, Y, solver=SGD(), batch_size=5, learning_rate_init=1e200)
    words = (
        r"became (nan|inf) in epoch 1, step \d, with learning rate 1e\+200; the initial weights are kept. Try a"
    )
    with np.errstate(all="ignore"), pytest.raises(DivergenceError, match=words):
        loop.run(3)
    np.testing.assert_array_equal(network.buffer, start)
    assert loop.state.loss_curve == []


class Jump(Constant):
    """A rate that explodes in the second epoch."""

    def factor(self, progress: Progress) -> float:
        return 1.0 if progress.epoch < 1 else 1e200


def test_divergence_later_names_the_epoch():
    network, whole = net(), net()
    trainer(whole, X, Y, solver=SGD(), batch_size=8, learning_rate_init=0.01).run(1)
    loop = trainer(network, X, Y, solver=SGD(), schedule=Jump(), batch_size=8, learning_rate_init=0.01)
    words = (
        r"became (nan|inf) in epoch 2, step [4-6], with learning rate 1e\+198; the weights after epoch 1 are kept"
    )
    with np.errstate(all="ignore"), pytest.raises(DivergenceError, match=words):
        loop.run(3)
    np.testing.assert_array_equal(network.buffer, whole.buffer)


def test_rows_that_are_not_finite_diverge():
    x = X.copy()
    x[3, 0, 0, 0] = np.inf
    with np.errstate(all="ignore"), pytest.raises(DivergenceError, match="epoch 1"):
        trainer(net(), x, Y).run(1)


@pytest.mark.parametrize("alpha", [0.0, 0.1, 7.0])
def test_objective_is_the_formula(alpha):
    """(sum of w loss + alpha / 2 * sum of squared kernel weights) / sum of w; biases go free."""
    weights = np.random.default_rng(0).uniform(0.2, 3, len(X))
    network = net()
    network.buffer[network.n_weights :] = 0.3
    logits = outputs(network, X)
    loss = -np.log(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))[np.arange(len(X)), Y]
    squares = sum((a**2).sum() for name, a in network.parameters.items() if not name.endswith("bias"))
    expected = (weights @ loss + alpha / 2 * squares) / weights.sum()
    loop = trainer(network, X, Y, weights=weights, alpha=alpha, batch_size=len(X))
    loop.run(1)
    assert math.isclose(loop.state.loss_curve[0], expected, rel_tol=1e-12)


def test_gradient_of_the_objective():
    """One step of plain gradient descent moves by the rate times what differences give."""
    weights, alpha = np.random.default_rng(0).uniform(0.2, 3, len(X)), 0.5
    network = net()
    start = network.buffer.copy()

    def objective(parameters):
        other = net()
        other.buffer[:] = parameters
        loop = trainer(other, X, Y, weights=weights, alpha=alpha, batch_size=len(X))
        loop.run(1)
        return loop.state.loss_curve[0]

    solver = SGD(momentum=0.0, nesterov=False)
    trainer(
        network, X, Y, solver=solver, weights=weights, alpha=alpha, batch_size=len(X), learning_rate_init=1e-3
    ).run(1)
    gradient = (start - network.buffer) / 1e-3
    for seed in range(4):
        direction = np.random.default_rng(seed).standard_normal(len(start)) / math.sqrt(len(start))
        slope = (objective(start + 1e-5 * direction) - objective(start - 1e-5 * direction)) / 2e-5
        np.testing.assert_allclose(gradient @ direction, slope, rtol=1e-6, atol=1e-9)


def test_the_mean_over_batches_weighs_rows():
    """An epoch's loss at a rate of next to nothing is the whole data's, also with a short last batch."""
    weights = np.random.default_rng(0).uniform(0.2, 3, len(X))
    losses = []
    for size in (20, 7, 1):
        loop = trainer(net(), X, Y, weights=weights, alpha=0.0, batch_size=size, learning_rate_init=1e-300)
        loop.run(1)
        losses.append(loop.state.loss_curve[0])
    np.testing.assert_allclose(losses, losses[0], rtol=1e-12)


SETTINGS = {
    "sgd": ({"momentum": 0.9, "nesterovs_momentum": True}, SGD()),
    "sgd, plain": ({"momentum": 0.5, "nesterovs_momentum": False}, SGD(momentum=0.5, nesterov=False)),
    "adam": ({"beta_1": 0.8, "beta_2": 0.99}, Adam(beta_1=0.8, beta_2=0.99)),
}


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic"])
def test_dense_networks_train_as_scikit_learns_do(name, activation):
    """Full batches from the same weights: the same losses and weights."""
    parameters, solver = SETTINGS[name]
    flat = X.reshape(len(X), -1)
    mlp = MLPClassifier(
        (9, 5), activation=activation, solver=name[:4].rstrip(","), alpha=0.3, batch_size=len(X), max_iter=1,
        learning_rate_init=0.02, shuffle=False, random_state=0, **parameters,
    )  # fmt: skip
    mlp.partial_fit(flat, Y, classes=np.unique(Y))
    acts = [type(RELU)(activation)]
    network = Network((Flatten(), Dense(9), *acts, Dense(5), *acts, Dense(3)), SHAPE, dtype=np.float64)
    loop = trainer(
        network, X, Y, solver=solver, alpha=0.3, batch_size=len(X), shuffle=False, learning_rate_init=0.02
    )
    # after its first step, for a fresh MLP has no weights to read
    network.buffer[:] = np.concatenate([a.ravel() for a in (*mlp.coefs_, *mlp.intercepts_)])
    sizes = [a.ravel() for group in ("ms", "vs") for a in getattr(mlp._optimizer, group, [])]
    memory = np.concatenate(sizes or [v.ravel() for v in mlp._optimizer.velocities])
    loop.state.slots[:] = memory.reshape(loop.state.slots.shape)
    loop.state.step = loop.state.epoch = 1
    for _ in range(6):
        mlp.partial_fit(flat, Y)
        loop.run(1)
    np.testing.assert_allclose(loop.state.loss_curve, mlp.loss_curve_[1:], rtol=1e-9)
    found = np.concatenate([a.ravel() for a in (*mlp.coefs_, *mlp.intercepts_)])
    np.testing.assert_allclose(network.buffer, found, rtol=1e-7, atol=1e-10)


def stops_at(values, *, tol, patience, scores=False):
    """The epoch after which a run with these losses, or scores, ends."""
    state = TrainingState(0, np.zeros((0, 0)))
    for epoch, value in enumerate(values, start=1):
        if scores:
            state.record_score(value, tol, True)
        else:
            state.record_loss(value, tol, True)
        if state.no_improvement > patience:
            return epoch
    return None


@pytest.mark.parametrize("seed", range(8))
def test_stopping_counts_as_in_scikit_learn(seed):
    """The rule of MLPClassifier, run on made-up curves with its own method."""
    rng = np.random.default_rng(seed)
    curve = list(np.cumsum(rng.normal(-0.02, 0.1, 40)))
    for scores in (False, True):
        mlp = MLPClassifier(tol=0.05, n_iter_no_change=3, early_stopping=scores, verbose=False)
        mlp.loss_curve_, mlp.best_loss_, mlp._no_improvement_count = [], np.inf, 0
        mlp.validation_scores_, mlp.best_validation_score_ = [], -np.inf
        mlp.coefs_ = mlp.intercepts_ = []
        expected = None
        for epoch, value in enumerate(curve, start=1):
            mlp.loss_curve_.append(value)
            if scores:
                mlp._score = lambda *arguments, value=value, **weights: value
            update = mlp._update_no_improvement_count
            # weights of validation rows came after scikit-learn 1.6
            update(scores, *[None] * (len(inspect.signature(update).parameters) - 1))
            if mlp._no_improvement_count > 3:
                expected = epoch
                break
        assert stops_at(curve, tol=0.05, patience=3, scores=scores) == expected


def test_the_best_weights_are_those_of_the_best_score():
    loop = trainer(net(), X, Y, early_stopping=True, n_iter_no_change=2, tol=0.0, learning_rate_init=0.01)
    scores = iter([0.1, 0.5, 0.4, 0.5, 0.3, 0.2, 0.1, 0.9])
    kept = []

    def score():
        kept.append(loop.network.buffer.copy())
        return next(scores)

    assert loop.run(10, score) == (7, True)
    np.testing.assert_array_equal(loop.state.best.buffer, kept[1])
    assert loop.state.best_score == 0.5
    assert loop.state.validation_scores == [0.1, 0.5, 0.4, 0.5, 0.3, 0.2, 0.1]


def test_the_adaptive_rate_falls_before_training_ends():
    """No progress at all: the rate is divided by five after each two stalls, until it is next to nothing."""
    seen = []

    class Watched(Adaptive):
        def factor(self, progress):
            seen.append(super().factor(progress))
            return seen[-1]

    loop = trainer(net(), X, Y, schedule=Watched(), n_iter_no_change=2, tol=1e9, learning_rate_init=1e-3)
    done, converged = loop.run(200)
    # stalls after epochs 4, 7, 10, 13, 16; 1e-3 / 5**5 is the first rate below 1e-6, and ends with the sixth
    assert (done, converged, loop.state.stalls) == (19, True, 6)
    assert np.isclose(min(seen), 5.0**-5)


def test_a_constant_rate_ends_at_the_first_stall():
    loop = trainer(net(), X, Y, n_iter_no_change=2, tol=1e9)
    assert loop.run(200) == (4, True)
    assert loop.state.stalls == 1


def test_a_callback_may_stop():
    epochs = []
    loop = trainer(net(), X, Y)
    assert loop.run(5, None, lambda epoch: epochs.append(epoch.number) or len(epochs) == 3) == (3, True)
    assert epochs == [1, 2, 3]


def test_order_depends_on_seed_and_epoch():
    loop = trainer(net(), X, Y, seed=4)
    first = loop._order()
    assert sorted(first) == list(range(len(X)))
    np.testing.assert_array_equal(first, loop._order())
    loop.state.epoch = 1
    assert not np.array_equal(first, loop._order())
    still = trainer(net(), X, Y, shuffle=False)
    np.testing.assert_array_equal(still._order(), np.arange(len(X)))


def test_dropout_masks_do_not_depend_on_the_order_of_batches():
    """Gradients of whole batches, drawn forwards and backwards."""
    layers = (Conv2D(3), RELU, Flatten(), Dropout(0.5), Dense(3))
    network = net(layers)
    order = np.random.default_rng(0).permutation(12)

    def logits(rows):
        return outputs(network, X[rows], training=True, randomness=Randomness(1, 2, rows.astype(np.int64)))

    np.testing.assert_array_equal(logits(np.arange(12))[order], logits(order))


def test_equal_losses_for_a_loss_object_and_its_smoothing():
    found = []
    for smoothing in (0.0, 0.2):
        loop = trainer(net(), X, Y, loss=CrossEntropy(label_smoothing=smoothing))
        loop.run(1)
        found.append(loop.state.loss_curve[0])
    assert found[0] != found[1]


def test_gradients_of_a_network_without_parameters_to_learn():
    network = Network((Flatten(), Dense(3)), SHAPE, dtype=np.float64, frozen=("dense_1",))
    _, gradient = passes(network, X, np.ones((20, 3)))
    assert gradient.size == 0
    loop = trainer(network, X, Y)
    loop.run(1)
    assert len(loop.state.loss_curve) == 1


class Distance:
    """A loss of targets with rows of two numbers, for outputs of two numbers."""

    def value_and_gradient(self, outputs, targets, weights, gradient, *, n_threads=1):
        np.multiply(outputs - targets, weights[:, None], out=gradient)
        return 0.5 * float((gradient * (outputs - targets)).sum())

    def predictions(self, outputs):
        return outputs.copy()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_targets_of_any_shape_and_dtype_stay_with_their_rows(dtype):
    """A linear network fits targets of shape (n, 2), each row its own."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 1, 3, 1))
    targets = (X.reshape(60, 3) @ rng.standard_normal((3, 2))).astype(dtype)
    network = Network([Flatten(), Dense(2)], (1, 3, 1), dtype=np.float64, seed=0)
    state = TrainingState(0, np.zeros((1, network.n_trainable)))
    index = np.arange(10, 60)
    trainer = Trainer(
        network, Distance(), SGD(), Constant(), state,
        TrainingOptions(batch_size=7, alpha=0.0, learning_rate_init=0.1),
        TrainingData(ArraySource(X, (1, 3, 1)), index, targets[index], np.ones(50)),
    )  # fmt: skip
    trainer.run(60)
    assert state.loss_curve[-1] < 1e-9
