"""The classic kernels, apply_filter and FilterBank."""

import doctest
import itertools
import pickle

import numpy as np
import oracle
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks
from small import fitted, images, quick

from pyconvx import filters
from pyconvx.filters import CROSS, KERNELS, SEVEN, FilterBank, apply_filter, get_kernel


@parametrize_with_checks([FilterBank(), FilterBank(("identity", "box_blur"), n_jobs=2)])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_there_are_checks():
    """With a wrong tag most of the checks would be skipped silently."""
    assert len(list(estimator_checks_generator(FilterBank()))) >= 40


def test_sums():
    """Edge kernels give 0 in a flat area; the others preserve its brightness."""
    keeps = {"box_blur", "gaussian_blur", "sharpen", "identity"}
    for name, kernel in KERNELS.items():
        assert kernel.shape == (3, 3)
        assert kernel.sum() == pytest.approx(1.0 if name in keeps else 0.0, abs=1e-15)
        assert not kernel.flags.writeable
    with pytest.raises(TypeError):
        KERNELS["mine"] = np.ones((3, 3))


@pytest.mark.parametrize(
    ("name", "bright"),
    [
        ("vertical", np.s_[:, :2]),
        ("sobel_x", np.s_[:, :2]),
        ("horizontal", np.s_[:2]),
        ("sobel_y", np.s_[:2]),
    ],
)
def test_sign_of_edges(name, bright):
    """Positive if the left or upper side is bright, negative for the reverse, 0 for the other axis."""
    image = np.zeros((4, 4))
    image[bright] = 1
    assert (apply_filter(image, name, padding="valid") > 0).all()
    assert (apply_filter(1 - image, name, padding="valid") < 0).all()
    assert not apply_filter(image.T, name, padding="valid").any()


def test_sign_of_diagonals():
    upper_right = np.triu(np.ones((5, 5)))
    assert np.diag(apply_filter(upper_right, "diagonal", padding="valid")).min() > 0
    assert np.diag(apply_filter(upper_right.T, "diagonal", padding="valid")).max() < 0
    assert not np.diag(apply_filter(upper_right[:, ::-1], "diagonal", padding="valid")[:, ::-1]).any()
    upper_left = upper_right[:, ::-1]
    assert np.diag(apply_filter(upper_left, "anti_diagonal", padding="valid")[:, ::-1]).min() > 0


def test_second_derivatives():
    ramp = np.add.outer(2.0 * np.arange(6), np.arange(6))
    point = np.zeros((5, 5))
    point[2, 2] = 1
    for name, sign in [("laplacian", -1), ("laplacian_8", 1)]:
        assert not apply_filter(ramp, name, padding="valid").any()
        assert np.sign(apply_filter(point, name)[2, 2]) == sign


def test_identity_and_blur():
    for image in (CROSS, SEVEN):
        np.testing.assert_array_equal(apply_filter(image, "identity"), image)
        blurred = apply_filter(image, "box_blur")
        assert blurred.min() >= 0
        assert blurred.max() <= 1 + 1e-15
    assert (CROSS.shape, SEVEN.shape) == ((7, 7), (5, 5))


@pytest.mark.parametrize("padding", ["same", "valid", 2, ((0, 1), (2, 0))])
@pytest.mark.parametrize("shape", [(6, 7), (6, 7, 3), (2, 6, 7, 3)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, bool, ">f8"])
def test_channels_are_filtered_alone(shape, padding, dtype):
    """The oracle filters every plane separately; float64 stays float64, everything else is float32."""
    image = oracle.integer_array(np.random.default_rng(0), shape, dtype, low=0)
    y = apply_filter(image, "sobel_x", padding=padding)
    assert y.dtype == (np.float64 if np.dtype(dtype) in (np.float64, ">f8") else np.float32)
    assert y.ndim == len(shape)
    planes = image.reshape(-1, 6, 7, 1 if len(shape) == 2 else 3)
    sides = oracle.sides(padding, (6, 7), (3, 3))
    for n, c in itertools.product(range(planes.shape[0]), range(planes.shape[3])):
        expected = oracle.conv2d(
            planes[n : n + 1, :, :, c : c + 1], KERNELS["sobel_x"][:, :, None, None], padding=sides
        )
        got = y.reshape(planes.shape[0], *expected.shape[1:3], -1)[n, :, :, c]
        np.testing.assert_array_equal(got, expected[0, :, :, 0])


@pytest.mark.parametrize(
    ("image", "kernel", "error", "message"),
    [
        (np.zeros(4), "identity", ValueError, r"\(H, W\), \(H, W, C\) or \(N, H, W, C\), got \(4,\)"),
        (np.zeros((4, 4)), "sobel", ValueError, "no kernel is named 'sobel': did you mean 'sobel_"),
        (np.zeros((4, 4)), "zzz", ValueError, "'zzz': the names are vertical, sobel_x"),
        (np.zeros((4, 4)), np.zeros(3), ValueError, r"kernel must have shape \(KH, KW\), got \(3,\)"),
        (np.zeros((2, 2)), "identity", ValueError, "exceeds the padded input 2x2"),
        (np.zeros((4, 4), complex), "identity", TypeError, "real numbers, got complex128"),
        (np.full((4, 4), "a"), "identity", TypeError, "real numbers, got <U1"),
        (np.ma.masked_array(np.zeros((4, 4))), "identity", TypeError, "masked"),
    ],
)
def test_refused(image, kernel, error, message):
    with pytest.raises(error, match=message):
        apply_filter(image, kernel, padding="valid")


def test_own_kernel():
    kernel = np.array([[1.0, -1.0]])
    assert get_kernel(kernel) is kernel
    np.testing.assert_array_equal(apply_filter(SEVEN, kernel, padding="valid"), SEVEN[:, :-1] - SEVEN[:, 1:])


@pytest.mark.parametrize("channels", [1, 3])
def test_bank_is_its_filters(channels):
    images = np.random.default_rng(1).standard_normal((4, 6, 5, channels))
    names = ("sobel_x", "laplacian", "box_blur")
    bank = FilterBank(names).fit(images)
    y = bank.transform(images)
    assert bank.output_shape_ == (6, 5, 3 * channels)
    assert bank.n_features_in_ == images.shape[1]
    planes = y.reshape(4, 6, 5, channels, 3)
    for f, name in enumerate(names):
        np.testing.assert_array_equal(planes[..., f], apply_filter(images, name))
    out = bank.get_feature_names_out()
    assert len(out) == len(set(out)) == y.shape[1]
    at = list(out).index("laplacian_2_3" + ("_1" if channels > 1 else ""))
    np.testing.assert_array_equal(y[:, at], planes[:, 2, 3, channels // 2, 1])


def test_flat_rows_and_images_are_the_same():
    images = np.random.default_rng(2).random((3, 6, 5), np.float32)
    rows = images.reshape(3, 30)
    by_image = FilterBank().fit(images)
    by_row = FilterBank(image_shape=(6, 5)).fit(rows)
    expected = by_image.transform(images)
    assert expected.dtype == np.float32
    for bank, X in itertools.product([by_image, by_row], [images, images[..., None], rows]):
        np.testing.assert_array_equal(bank.transform(X), expected)
    assert FilterBank().fit(rows).input_shape_ == (1, 30, 1)
    np.testing.assert_array_equal(
        FilterBank(n_jobs=2).fit(images).transform(images),
        pickle.loads(pickle.dumps(by_image)).transform(images),
    )


@pytest.mark.parametrize(
    ("parameters", "X", "error", "message"),
    [
        ({"names": ("sobel",)}, np.zeros((3, 9)), ValueError, "no kernel is named 'sobel'"),
        ({"names": ()}, np.zeros((3, 9)), ValueError, "one kernel name or more"),
        ({"names": (1,)}, np.zeros((3, 9)), ValueError, "only strings"),
        ({"names": "sobel_x"}, np.zeros((3, 9)), TypeError, "sequence of kernel names, got 'sobel_x'"),
        ({"names": None}, np.zeros((3, 9)), TypeError, "sequence of kernel names, got None"),
        ({"image_shape": (2, 4)}, np.zeros((3, 9)), ValueError, r"image_shape \(2, 4\).*rows of 9 features"),
        ({"image_shape": (9,)}, np.zeros((3, 9)), ValueError, r"give \(H, W\) or \(H, W, C\)"),
        ({"padding": "valid"}, np.zeros((3, 9)), ValueError, "FilterBank: kernel 3x3.*exceeds.*1x9"),
        ({"padding": "full"}, np.zeros((3, 9)), ValueError, "got 'full'"),
        ({"n_jobs": 0}, np.zeros((3, 9)), ValueError, "n_jobs must not be 0"),
        ({}, np.zeros((3, 2, 2, 2, 2)), ValueError, r"\(n, H, W, C\) or \(n, H, W\)"),
        ({}, np.full((3, 4, 4), np.nan), ValueError, "NaN"),
        ({}, np.zeros((0, 4, 4, 1)), ValueError, "0 sample"),
    ],
)
def test_bank_refuses(parameters, X, error, message):
    with pytest.raises(error, match=message):
        FilterBank(**parameters).fit(X)


def test_bank_refuses_other_images():
    bank = FilterBank().fit(np.zeros((2, 6, 5, 1)))
    with pytest.raises(ValueError, match=r"\(5, 6, 1\) \(H, W, C\), but FilterBank was fitted on \(6, 5, 1\)"):
        bank.transform(np.zeros((2, 5, 6, 1)))
    with pytest.raises(ValueError, match="X has 31 features, but FilterBank is expecting 30"):
        bank.transform(np.zeros((2, 31)))
    with pytest.raises(ValueError, match="input_features should have length equal"):
        bank.get_feature_names_out(["a"])
    with pytest.raises(NotFittedError):
        clone(bank).transform(np.zeros((2, 6, 5, 1)))


def test_bank_before_logistic_regression():
    """FilterBank in a pipeline and in a grid search, on real images."""
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X / 16, y, train_size=800, random_state=0, stratify=y)
    model = make_pipeline(FilterBank(image_shape=(8, 8)), LogisticRegression(max_iter=500))
    grid = {"filterbank__names": [("identity",), ("sobel_x", "sobel_y", "identity")]}
    search = GridSearchCV(model, grid, cv=2).fit(X_train, y_train)
    assert search.best_score_ > 0.92
    assert search.score(X_test, y_test) > 0.93


def test_examples():
    attempted = 0
    for module in (filters.kernels, filters.apply, filters.bank):
        results = doctest.testmod(module)
        assert results.failed == 0
        attempted += results.attempted
    assert attempted >= 9


GREY = np.random.default_rng(2).standard_normal((12, 6, 5))
COLOURED = np.random.default_rng(3).standard_normal((12, 6, 5, 3))


def test_channels_first():
    last, first = (
        FilterBank(("sobel_x", "laplacian")),
        FilterBank(("sobel_x", "laplacian"), data_format="channels_first"),
    )
    expected = last.fit_transform(COLOURED).reshape(12, 6, 5, 6)
    given = np.moveaxis(COLOURED, 3, 1)
    found = first.fit_transform(given)
    np.testing.assert_array_equal(found.reshape(12, 6, 6, 5), np.moveaxis(expected, 3, 1))
    assert first.input_shape_ == (6, 5, 3)
    assert first.n_features_in_ == 3
    names = first.get_feature_names_out().tolist()
    assert names[:2] == ["sobel_x_0_0_0", "sobel_x_0_1_0"]
    assert sorted(names) == sorted(last.get_feature_names_out())
    order = [last.get_feature_names_out().tolist().index(name) for name in names]
    np.testing.assert_array_equal(found, last.transform(COLOURED)[:, order])
    flat = FilterBank(("sobel_x", "laplacian"), image_shape=(3, 6, 5), data_format="channels_first")
    np.testing.assert_array_equal(flat.fit_transform(given.reshape(12, -1)), found)
    np.testing.assert_array_equal(first.transform(given.reshape(12, -1)), found)
    np.testing.assert_array_equal(
        FilterBank(data_format="channels_first").fit_transform(GREY)[:, ::4].shape, (12, 30)
    )


def test_maps_in_place_of_rows():
    for data_format, data in (("channels_last", COLOURED), ("channels_first", np.moveaxis(COLOURED, 3, 1))):
        bank = FilterBank(data_format=data_format)
        rows, maps = (
            bank.fit_transform(data),
            FilterBank(data_format=data_format, flatten=False).fit_transform(data),
        )
        assert maps.shape == ((12, 6, 5, 12) if data_format == "channels_last" else (12, 12, 6, 5))
        assert maps.flags.c_contiguous
        np.testing.assert_array_equal(maps.reshape(12, -1), rows)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_a_network_behind_the_bank_sees_images(data_format):
    X, y = images(20)
    bank = FilterBank(("sobel_x", "sobel_y"), flatten=False, data_format=data_format)
    pipe = fitted(X[..., 0], y, clf=make_pipeline(bank, quick(data_format=data_format)))
    assert pipe[-1].input_shape_ == (6, 6, 2)
    assert pipe.predict_proba(X[..., 0]).shape == (20, 3)


@pytest.mark.parametrize("parameters", [{"data_format": "NHWC"}, {"data_format": None}, {"flatten": 1}])
def test_orders_and_switches_that_are_none(parameters):
    with pytest.raises((ValueError, TypeError), match=next(iter(parameters))):
        FilterBank(**parameters).fit(GREY)
