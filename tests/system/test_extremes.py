"""Extreme numbers and sizes: tiny and huge values, arrays of ones, more than 2**31 cells."""

import warnings

import numpy as np
import pytest
from nets import pictures
from sklearn.model_selection import GridSearchCV
from small import fitted, images, quick, weights_of

from pyconvx import DivergenceError, activations, ops
from pyconvx._core.workspace import Workspace
from pyconvx.layers import BatchNorm, Context, Conv2D
from pyconvx.schedules import Constant
from pyconvx.training import ArraySource

FLOATS = pytest.mark.parametrize("dtype", [np.float32, np.float64])

# --- values ---------------------------------------------------------------------------------------


def exact(rng, shape, dtype):
    """Return small whole numbers: sums of their products are exact in any order."""
    return rng.integers(-4, 5, shape).astype(dtype)


@FLOATS
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_powers_of_two_scale_results_exactly_down_to_subnormal_numbers(dtype, kernel_size):
    """Whole numbers times 2**k have the same bits, so results have, too; nothing is flushed to zero."""
    rng = np.random.default_rng(0)
    x, kernel = exact(rng, (5, 9, 8, 16), dtype), exact(rng, (kernel_size, kernel_size, 16, 16), dtype)
    exponents = (-140, 100) if dtype == np.float32 else (-1060, 990)
    padding = kernel_size // 2
    y = ops.conv2d(x, kernel, padding=padding)
    dx, dkernel, dbias = ops.conv2d_backward(y, x, kernel, padding=padding)
    pooled, argmax = ops.max_pool2d(x, 2)
    for exponent in exponents:
        scale = dtype(2.0) ** dtype(exponent)
        small = x * scale
        assert np.isfinite(small).all()
        assert (small != 0).sum() == (x != 0).sum()
        np.testing.assert_array_equal(ops.conv2d(small, kernel, padding=padding), y * scale)
        with np.errstate(over="ignore"):
            gradient = y * scale
        if np.isfinite(gradient * dtype(2**14)).all():
            found = ops.conv2d_backward(gradient, x, kernel, padding=padding)
            for one, other in zip(found, (dx, dkernel, dbias), strict=True):
                np.testing.assert_array_equal(one, other * scale)
        np.testing.assert_array_equal(ops.max_pool2d(small, 2)[0], pooled * scale)
        np.testing.assert_array_equal(ops.max_pool2d(small, 2)[1], argmax)
        np.testing.assert_array_equal(ops.avg_pool2d(x, 2) * scale, ops.avg_pool2d(small, 2))


@FLOATS
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_overflow_is_never_finite_and_makes_no_noise(dtype, kernel_size):
    """The result is infinite, or NaN if the transforms of Winograd's method subtract infinities."""
    largest = np.finfo(dtype).max
    x = np.full((2, 6, 6, 16), largest, dtype)
    kernel = np.ones((kernel_size, kernel_size, 16, 16), dtype)
    transformed = dtype == np.float32 and kernel_size == 3
    for sign in (1, -1):
        y = ops.conv2d(sign * x, kernel)
        assert not np.isfinite(y).any()
        assert transformed or (y == sign * np.inf).all()
    assert np.isnan(ops.conv2d(np.where(np.arange(16) % 2, np.inf, -np.inf).astype(dtype) + 0 * x, kernel)).all()
    np.testing.assert_array_equal(ops.max_pool2d(x, 2)[0], largest)


@FLOATS
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_reaches_the_cells_that_hold_it(dtype, value):
    """No other cell becomes NaN, also with Winograd's method, whose tiles are larger."""
    x, kernel = np.ones((1, 12, 12, 16), dtype), np.ones((3, 3, 16, 16), dtype)
    for row in range(12):
        x[0, row, 6, 3] = value
        reached = np.zeros((1, 12, 12, 16), bool)
        reached[0, max(row - 1, 0) : row + 2, 5:8] = True
        np.testing.assert_array_equal(~np.isfinite(ops.conv2d(x, kernel, padding=1)), reached)
        x[0, row, 6, 3] = 1


@pytest.mark.filterwarnings("ignore::pyconvx.InputScaleWarning")
@FLOATS
def test_fits_on_tiny_and_huge_images(dtype):
    """Training works, or ends with DivergenceError and usable weights; there is no NaN and no warning."""
    X, y = pictures(30, dtype=dtype)
    least, most = (-149, 120) if dtype == np.float32 else (-1074, 1000)
    for exponent in (least, least + 12, -60, 30, 60, most):
        data = X * dtype(2.0) ** dtype(exponent)
        clf = quick(filters=(4, 4), batch_norm=exponent % 2 == 0)
        try:
            fitted(data, y, clf=clf)
        except DivergenceError:
            assert exponent > 0
        assert np.isfinite(clf.network_.buffer).all()
        assert clf.predict(X).shape == (30,)


class Jump(Constant):
    """A learning rate that explodes in the third epoch."""

    def factor(self, progress):
        return 1.0 if progress.epoch < 2 else 1e300


@FLOATS
def test_divergence_keeps_the_weights_of_the_last_good_epoch(dtype):
    X, y = pictures(30, dtype=dtype)
    settings = {"solver": "sgd", "learning_rate": Jump(), "batch_norm": True, "batch_size": 8}
    clf, whole = quick(max_iter=9, **settings), fitted(X, y, max_iter=2, **settings)
    with pytest.raises(DivergenceError, match=r"became (nan|inf) in epoch 3, .*weights after epoch 2 are kept"):
        fitted(X, y, clf=clf)
    assert weights_of(clf) == weights_of(whole)
    assert (clf.n_iter_, clf.t_, clf.loss_curve_) == (whole.n_iter_, whole.t_, whole.loss_curve_)
    np.testing.assert_array_equal(clf.predict_proba(X), whole.predict_proba(X))
    fitted(X, y, clf=clf.set_params(learning_rate="constant"))  # and it can start again


@pytest.mark.parametrize("max_iter", [1, 50])
def test_weights_kept_after_divergence_predict(max_iter):
    """The last steps of an epoch may make weights that are finite, but too large to compute with."""
    X, y = images()
    clf = quick(learning_rate_init=1e30, solver="sgd", max_iter=max_iter, tol=0.0)
    words = r"became (nan|inf) in epoch \d+, step \d+, with learning rate 1e\+30; .* are kept. Try a smaller"
    with np.errstate(all="ignore"), pytest.raises(DivergenceError, match=words):
        clf.fit(X.astype(np.float32), y)
    assert np.isfinite(clf.network_.buffer).all()
    assert clf.n_iter_ == len(clf.loss_curve_)
    assert clf.predict(X).shape == (30,)
    assert fitted(X, y, clf=clf.set_params(learning_rate_init=0.1)).predict(X).shape == (30,)


@FLOATS
def test_outputs_that_overflow_are_no_predictions(dtype):
    """Weights and images are finite, but sums exceed the largest number: NaN would be read as class 0."""
    X, y = pictures(30, dtype=dtype)
    clf = fitted(X, y)
    clf.network_.buffer[:] = np.finfo(dtype).max / 2
    for method in ("predict", "predict_proba", "predict_log_proba"):
        with pytest.raises(DivergenceError, match=r"outputs are NaN or infinite.*smaller learning_rate_init"):
            getattr(clf, method)(X)


def test_a_search_goes_on_after_a_candidate_diverged():
    X, y = pictures(30)
    search = GridSearchCV(quick(solver="sgd"), {"learning_rate_init": [1e-3, 1e300]}, cv=3, error_score=-7.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search.fit(X, y)
    assert search.cv_results_["mean_test_score"][1] == -7.0
    assert search.best_params_ == {"learning_rate_init": 1e-3}


def test_no_call_changes_how_the_processor_rounds():
    """Afterwards no thread, of this process or OpenMP, flushes subnormal numbers or rounds differently."""
    tiny = np.full(200_000, 3e-45, np.float32)
    for _ in range(3):
        fitted(*pictures(30), n_jobs=2)
        assert (tiny * np.float32(1)).all()
        assert np.float64(1) + np.float64(2**-53) == 1
        assert np.float64(1) + np.float64(3 * 2**-53) == 1 + 2**-51
        assert (activations.identity.forward(tiny, n_threads=2) == tiny).all()
        assert (activations.leaky_relu.forward(tiny, n_threads=2) > 0).all()


# --- sizes ----------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::pyconvx.InputScaleWarning")
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 7, 1), (7, 1, 2), (2, 2, 1), (1, 1, 5)])
@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.float64])
def test_one_sample_one_pixel_one_channel(shape, n, kind):
    X = np.random.default_rng(0).integers(0, 255, (n, *shape)).astype(kind)
    y = np.arange(n)
    for settings in ({}, {"batch_norm": True, "dropout": 0.5, "batch_size": 1}, {"filters": (1,)}):
        single = "batch_norm" in settings and shape[:2] == (1, 1)
        if single:  # batch norm has nothing to compare
            with pytest.raises(ValueError, match="batchnorm_1 compares the rows of a batch and needs at least 2"):
                fitted(X, y, hidden_layer_sizes=(1,), **settings)
            continue
        clf = fitted(X, y, hidden_layer_sizes=(1,), **settings)
        proba = clf.predict_proba(X[:1])
        assert proba.shape == (1, n)
        np.testing.assert_allclose(proba.sum(), 1, rtol=1e-6)
        assert clf.predict(X).shape == (n,)


@FLOATS
def test_batch_norm_of_a_single_pixel_gives_beta(dtype):
    context = Context(True, Workspace(), states={"running_mean": np.zeros(3), "running_variance": np.ones(3)})
    params = {"gamma": np.array([2, 3, 4], dtype), "beta": np.array([5, 6, 7], dtype)}
    params |= {"running_mean": np.zeros(3, dtype), "running_variance": np.ones(3, dtype)}
    y, _ = BatchNorm().forward(np.array([[[[1e30, -2, 0]]]], dtype), params, context)
    np.testing.assert_array_equal(y.ravel(), params["beta"])


@pytest.mark.filterwarnings("ignore::pyconvx.InputScaleWarning")
@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_images_that_are_all_equal(kind, batch_norm):
    X = np.full((30, 6, 6, 2), 7, kind)
    clf = fitted(X, np.arange(30) % 3, batch_norm=batch_norm, max_iter=5)
    proba = clf.predict_proba(X)
    assert np.isfinite(proba).all()
    assert (proba == proba[0]).all()


def test_ten_thousand_classes():
    """All 10,000 labels can be predicted, and a step of training changes each of their biases."""
    rng = np.random.default_rng(0)
    y = rng.permutation(np.repeat(np.arange(10_000), 2) * 3 - 7)
    X = rng.standard_normal((20_000, 4, 4, 1)).astype(np.float32)
    clf = fitted(X, y, max_iter=1, batch_size=1000, n_jobs=2)
    assert len(clf.classes_) == clf.n_outputs_ == 10_000
    proba = clf.predict_proba(X[:50])
    assert proba.shape == (50, 10_000)
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-9)
    np.testing.assert_array_equal(clf.predict(X[:50]), clf.classes_[proba.argmax(axis=1)])
    assert (clf.network_.parameters["dense_2.bias"] != 0).all()
    assert set(clf.predict(X)) <= set(y)


# 2.16e9 cells: an index of 32 bits cannot reach the last ones. They are zeros that were never written, so that
# they need no memory.
H, W = 48_000, 45_000


@pytest.fixture(scope="module")
def vast():
    assert H * W > 2**31
    try:
        x = np.zeros((1, H, W, 1), np.float32)
    except MemoryError:
        pytest.skip("this machine reserves no 9 GB")
    x[0, 0, 0, 0], x[0, -1, -1, 0], x[0, -2, -3, 0] = 3, 7, 5
    return x


def test_mean_of_more_cells_than_an_int_counts(vast):
    np.testing.assert_allclose(ops.global_avg_pool2d(vast, n_threads=2) * vast.size, 15, rtol=1e-6)


def test_windows_in_more_cells_than_an_int_counts(vast):
    y, argmax = ops.max_pool2d(vast, 1000, stride=(H - 1000, W - 1000))
    assert argmax.ravel().tolist() == [0, W - 1000, (H - 1000) * W, H * W - 1]
    assert y.ravel().tolist() == [3, 0, 0, 7]
    y = ops.avg_pool2d(vast, 10, stride=(H - 10, W - 10))
    np.testing.assert_allclose(y.ravel(), [0.03, 0, 0, 0.12], rtol=1e-6)


@pytest.mark.parametrize("groups", [1, 0])
def test_kernels_over_more_cells_than_an_int_counts(groups, vast):
    """Check forward and the kernel's gradient at the four corners, dense and depthwise."""
    x = vast if groups else vast.reshape(1, H, W // 2, 2)
    channels = x.shape[3]
    kernel = np.arange(1, 10, dtype=np.float32).reshape(3, 3, 1, 1).repeat(channels, axis=3)
    stride = (H - 3, x.shape[2] - 3)
    y = ops.conv2d(x, kernel, stride=stride, groups=groups or channels)
    layer = Conv2D(channels, 3, stride=stride, groups=groups or channels, bias=False)
    corners = np.zeros((3, 3, 1, channels), np.float32)
    context = Context(True, Workspace(), needs_dx=False)
    same, cache = layer.forward(x, {"kernel": kernel}, context)
    np.testing.assert_array_equal(same, y)
    layer.backward(np.ones_like(y), cache, {"kernel": kernel}, {"kernel": corners}, context)
    dense = x[0][:3, :3] + x[0][-3:, -3:] + x[0][:3, -3:] + x[0][-3:, :3]
    np.testing.assert_array_equal(corners[:, :, 0], dense)
    expected = [(kernel[:, :, 0] * part).sum(axis=(0, 1)) for part in (x[0][:3, :3], x[0][-3:, -3:])]
    np.testing.assert_array_equal([y[0, 0, 0], y[0, -1, -1]], expected)


def test_rows_beyond_what_an_int_counts():
    try:
        X = np.zeros((70_000, 32_768), np.uint8)
    except MemoryError:
        pytest.skip("this machine reserves no 2.3 GB")
    X[-1, -1], X[-3, 5] = 255, 51
    out = np.empty((3, 128, 256, 1), np.float32)
    ArraySource(X, (128, 256, 1)).take(np.array([69_999, 0, 69_997]), out, 2)
    assert (out[0, -1, -1], out[2].ravel()[5], out.sum()) == (1, np.float32(0.2), np.float32(1.2))
    y = np.zeros(70_000, int)
    y[-1] = 1
    weights = (np.arange(70_000) >= 69_990).astype(float)
    clf = quick(filters=(1,), hidden_layer_sizes=(), pool_size=64, image_shape=(128, 256))
    fitted(X, y, {"sample_weight": weights}, clf=clf)
    assert clf.predict(X[-5:]).shape == (5,)
