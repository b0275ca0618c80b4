"""Arguments that fuzzing discovered: each was once accepted, computed wrongly, or refused by accident."""

import numpy as np
import pytest
from mutated_files import small_model
from small import fitted, images

import pyconvx
from pyconvx import Checkpoint, ModelFileError, activations, initializers, layers, ops, schedules, solvers
from pyconvx.filters import FilterBank, apply_filter, get_kernel
from pyconvx.layers.sequence import output_shapes
from pyconvx.losses import CrossEntropy
from pyconvx.network import Memory, Network
from pyconvx.persistence import pack, unpack

X = np.zeros((1, 3, 3, 1))
FAR = {"dilation": 1 << 40, "padding": (1 << 40) - 1, "stride": 1}
IMAGES, LABELS = images()


def wide_network(*inner, shape=(3, 3, 1), **options):
    return Network([*inner, layers.Flatten(), layers.Dense(2)], shape, **options)


REFUSED = {
    "a text for a switch": (
        lambda: ops.max_pool2d(X, 2, ceil_mode="no"),
        TypeError,
        "ceil_mode must be a bool, got 'no'",
    ),
    "a number for a switch": (lambda: ops.conv_output_size(5, 2, ceil_mode=1), TypeError, "ceil_mode .*got 1"),
    "None for a switch": (
        lambda: ops.avg_pool2d(X, 2, count_include_pad=None),
        TypeError,
        "count_include_pad .*None",
    ),
    "windows beyond counting": (
        lambda: ops.max_pool2d(X[:0], 2, **FAR),
        ValueError,
        "window 2 .*has no tap in the image of 3",
    ),
    "such a layer": (
        lambda: layers.MaxPool2D(2, **FAR).output_shape((3, 3, 1)),
        ValueError,
        "has no tap in the image",
    ),
    "a number for a shape": (lambda: ops.global_avg_pool2d_backward(X[0, 0], 5), TypeError, "input_shape .*got 5"),
    "masked places": (
        lambda: ops.max_pool2d_backward(X, np.ma.masked_array(X.astype(int)), X.shape),
        TypeError,
        "argmax is a masked",
    ),
    "masked values": (
        lambda: activations.relu.forward(np.ma.masked_array([1.0])),
        TypeError,
        "x is a masked array",
    ),
    "an array for a name": (
        lambda: activations.CompiledActivation(np.ones(2)),
        ValueError,
        "no compiled activation",
    ),
    "step 0": (lambda: step(solvers.Adam(), t=0), ValueError, "t must be >= 1, got 0"),
    "weights beyond the end": (
        lambda: step(solvers.AdamW(), n_weights=9),
        ValueError,
        "n_weights must be at most 5.* 9",
    ),
    "no epsilon": (lambda: step(solvers.RMSprop(epsilon=0)), ValueError, "epsilon must be above 0, got 0"),
    "no momentum": (
        lambda: step(solvers.RMSprop(momentum=1.5)),
        ValueError,
        "momentum must be at least 0 and below 1",
    ),
    "a text for a rate": (
        lambda: step(solvers.SGD(), rate="fast"),
        TypeError,
        "learning_rate must be a number, got 'fast'",
    ),
    "no threads": (lambda: step(solvers.SGD(), n_threads=0), ValueError, "n_threads must not be 0"),
    "a list for logits": (
        lambda: CrossEntropy().predictions([[1.0]]),
        TypeError,
        "logits must be a numpy array, got list",
    ),
    "rows for logits": (
        lambda: CrossEntropy().predictions(np.ones(3)),
        ValueError,
        r"logits must have 2 axes.*\(3,\)",
    ),
    "a text for smoothing": (lambda: CrossEntropy("a"), TypeError, "label_smoothing must be a number, got 'a'"),
    "a negative base": (lambda: schedules.Exponential(-0.5).factor(progress(0.5)), ValueError, "rate .*got -0.5"),
    "no epochs": (lambda: schedules.Progress(max_epochs=0), ValueError, "max_epochs must be at least 1, got 0"),
    "no inputs": (
        lambda: initializers.he_normal((3, 3), 0, 3, np.random.default_rng(0)),
        ValueError,
        "fan_in must be above 0, got 0",
    ),
    "a scale of NaN": (lambda: initializers.VarianceScaling(np.nan), ValueError, "scale must be finite, got nan"),
    "a text for a gain": (lambda: initializers.Orthogonal("a"), TypeError, "gain must be a number, got 'a'"),
    "an endless eps": (lambda: layers.BatchNorm(10**400), ValueError, "eps must be finite"),
    "channels that no group divides": (
        lambda: layers.Conv2D(2, 1, groups=2).output_shape((3, 3, 3)),
        ValueError,
        r"divisible by 2, got shape \(3, 3, 3\)",
    ),
    "an input without axes": (lambda: Network([layers.BatchNorm()], ()), TypeError, r"input_shape .*got \(\)"),
    "half a pixel": (lambda: wide_network(shape=(2.5, 2, 1)), TypeError, "input_shape must be an int, got 2.5"),
    "no pixel": (lambda: Network([layers.BatchNorm()], (0, 2, 1)), ValueError, "input_shape must be >= 1, got 0"),
    "no layer": (lambda: Network([5], (3, 3, 1)), TypeError, "expected layers, got 5"),
    "a negative seed": (lambda: wide_network(seed=-1), ValueError, "seed must be >= 0, got -1"),
    "another precision": (lambda: wide_network(dtype="float16"), ValueError, "dtype must be .* got float16"),
    "code for a precision": (
        lambda: wide_network(dtype="5)"),
        TypeError,
        r"dtype must be float32 or float64, got '5\)'",
    ),
    "code for a parameter": (
        lambda: fitted(IMAGES, LABELS, dtype="5)"),
        ValueError,
        r"The 'dtype' parameter .*'5\)'",
    ),
    "a network beyond memory": (lambda: Network([layers.Dense(1 << 60)], (9,)), ValueError, "too large"),
    "a complex kernel": (
        lambda: apply_filter(X[0], np.ones((1, 1)) * 1j),
        TypeError,
        "real numbers, got complex128",
    ),
    "a ragged kernel": (lambda: get_kernel([[1], [1, 2]]), ValueError, r"a kernel must have shape \(KH, KW\)"),
    "a kernel beyond float32": (
        lambda: apply_filter(np.ones((2, 2), "f4"), [[1e300]]),
        ValueError,
        r"kernel holds 1e\+300",
    ),
    "a masked image": (lambda: FilterBank().fit(np.ma.masked_array(X)), TypeError, "X is a masked array"),
    "a number for a row's shape": (
        lambda: FilterBank(image_shape=9).fit(X.reshape(1, 9)),
        TypeError,
        "image_shape .*got 9",
    ),
    "an endless alpha": (lambda: fitted(IMAGES, LABELS, alpha=10**400), ValueError, "The 'alpha' parameter"),
    "filters beyond memory": (lambda: fitted(IMAGES, LABELS, filters=(2**70,)), ValueError, "too large"),
    "a text for a seed": (
        lambda: fitted(IMAGES, LABELS, random_state="a"),
        ValueError,
        "The 'random_state' parameter .*'a'",
    ),
    "an array for when": (
        lambda: fitted(IMAGES, LABELS, checkpoint=Checkpoint("x", np.ones(2))),
        ValueError,
        "The 'checkpoint' parameter",
    ),
}


def step(solver, rate=0.1, t=1, n_weights=0, n_threads=1, n=5):
    """Return parameters of ones after one step."""
    parameters = np.ones(n)
    solver.step(
        parameters, np.ones(n), np.zeros((solver.slots, n)), rate, t, n_weights=n_weights, n_threads=n_threads
    )
    return parameters


def progress(epoch):
    return schedules.Progress(epoch=epoch, max_epochs=9)


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    call, error, words = REFUSED[case]
    with pytest.raises(error, match=words):
        call()


def test_far_taps_that_meet_the_image_are_legal():
    """A window that begins far before the image and moves into it."""
    x = np.arange(1.0, 10).reshape(1, 3, 3, 1)
    y, argmax = ops.max_pool2d(x, 2, dilation=1 << 40, padding=1 << 40, stride=1 << 40)
    assert (y.ravel() == 1).all()
    assert not argmax.any()


def test_all_processors_for_plugins():
    """A count of -1 reached the loops unchanged, and no work was done."""
    logits, targets, weights = np.ones((600, 10)), np.zeros(600, int), np.ones(600)
    values = [
        CrossEntropy().value_and_gradient(logits, targets, weights, np.empty((600, 10)), n_threads=n)
        for n in (1, -1)
    ]
    assert values[0] == values[1]
    for solver in (solvers.SGD(), solvers.Adam(), solvers.RMSprop()):
        np.testing.assert_array_equal(step(solver, n=40_000, n_threads=-1), step(solver, n=40_000))


def test_powers_beyond_a_float():
    assert schedules.Exponential(10.0).factor(progress(400.0)) == np.inf
    assert schedules.Adaptive().factor(schedules.Progress(stalls=np.uint64(1))) == 0.2
    assert schedules.InvScaling(np.uint8(1)).factor(schedules.Progress(samples_seen=1)) == 0.5
    assert schedules.InvScaling(-1e6).factor(schedules.Progress(samples_seen=10**6)) == np.inf
    # an infinite rate is training's matter
    with np.errstate(all="ignore"), pytest.raises(pyconvx.DivergenceError):
        fitted(IMAGES, LABELS, learning_rate=schedules.Exponential(1e200), max_iter=5)


def test_single_precision_parameters_do_not_lower_that_of_a_step():
    narrow, wide = np.float32(0.9), float(np.float32(0.9))
    np.testing.assert_array_equal(step(solvers.Adam(narrow), t=np.int8(3)), step(solvers.Adam(wide), t=3))


def test_factors_are_floats():
    for schedule in (schedules.OneCycle(start=np.float32(0.1)), schedules.Cosine(warm_up=np.float32(2))):
        for epoch in (0.0, 1.0, 5.0):
            assert type(schedule.factor(progress(epoch))) is float


def test_accepted():
    swapped = np.arange(-2, 3, dtype=">f4")
    np.testing.assert_array_equal(activations.relu.forward(swapped), [0, 0, 0, 1, 2])
    assert activations.softmax.backward(swapped, swapped, swapped).dtype == np.float32
    assert hash(layers.Conv2D(np.array(2))) == hash(layers.Conv2D(2))
    assert not initializers.Dirac()((3, 3, 0, 4), 1, 1, np.random.default_rng(0)).size
    networks = [wide_network(seed=seed) for seed in (np.int64(5), 5)]
    np.testing.assert_array_equal(*[network.buffer for network in networks])
    fitted(IMAGES, LABELS, filters=np.array([2]))


def test_batches_of_other_samples():
    """They were read beyond their end."""
    network = wide_network(layers.Conv2D(4), shape=(9, 9, 3))
    memory = Memory()
    context = network.context(True, memory.kept, 1)
    for x in (np.ones((2, 4, 4, 1), "f4"), np.ones((2, 9, 9, 3))):
        with pytest.raises(ValueError, match=r"x must have shape \(N, 9, 9, 3\) and float32, got \(2, "):
            network.forward(x, context, memory)
        with pytest.raises(ValueError, match=r"x must have shape"):
            network.layer_output(x, 0, context, memory)
    tape = []
    network.forward(np.ones((2, 9, 9, 3), "f4"), context, memory, tape)
    with pytest.raises(ValueError, match=r"dy must have shape \(N, 2\) and float32, got \(2, 7\)"):
        network.backward(np.ones((2, 7), "f4"), tape, network.gradients()[1], context, memory)


def test_frozen_names_are_whole():
    """A name covers everything below it, but nothing that only begins the same way."""
    network = Network([layers.Dense(2), *[layers.Dense(2)] * 10], (3,), frozen=["dense_1"])
    assert {name for name in network.parameters if name.startswith("dense_1.")} == set(network._layout.fixed)
    assert output_shapes(network.layers, (3,))[-1] == (2,)


@pytest.mark.parametrize("classes", [[1, 0, 2], [0, 0, 1], [[0, 1, 2]]])
def test_classes_that_are_not_sorted(classes, tmp_path):
    document, arrays = unpack(small_model(), "model")
    document["attributes"]["classes_"] = {"objects": [list(np.shape(classes)), np.ravel(classes).tolist()]}
    (tmp_path / "file").write_bytes(pack(document, arrays))
    with pytest.raises(ModelFileError, match=r"classes_|holds no estimator|damaged"):
        pyconvx.load(tmp_path / "file")


def test_a_checkpoint_of_other_classes(tmp_path):
    checkpoint = Checkpoint(tmp_path / "file", np.float32(0))
    fitted(IMAGES, LABELS, checkpoint=checkpoint)
    document, arrays = unpack((tmp_path / "file").read_bytes(), "file")
    arrays = dict(arrays) | {document["attributes"]["classes_"]["array"]: np.array([3, 4, 5])}
    (tmp_path / "file").write_bytes(pack(document, arrays))
    with pytest.raises(ModelFileError, match=r"its classes are \[3 4 5\], those of y \[0 1 2\]"):
        fitted(IMAGES, LABELS, checkpoint=checkpoint, resume=True)


def test_classes_that_were_tampered_with():
    clf = fitted(IMAGES, LABELS)
    clf.classes_ = clf.classes_[:2]
    with pytest.raises(ValueError, match="2 classes, but the network gives 3"):
        clf.predict(IMAGES)
