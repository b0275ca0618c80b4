"""Initializers: scales against the notes' numbers and the fans, orthogonality, identity, seeds."""

import numpy as np
import pytest
from scipy import stats
from small import fitted, images

from pyconvx.exceptions import PluginError
from pyconvx.initializers import (
    Constant,
    Dirac,
    Orthogonal,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    VarianceScaling,
    registry,
)

SHAPES = {"conv": ((3, 3, 32, 64), 288, 576), "dense": ((160, 128), 160, 128)}
BUILT_IN = tuple(row.name for row in registry.listing() if row.status == "built-in")
RANDOM = tuple(name for name in BUILT_IN if name not in ("zeros", "ones", "constant", "dirac", "identity"))
GIVEN = ("random_normal", "random_uniform", "truncated_normal")  # their scale does not come from the fans

# layer: shape, sqrt(2 / fan_in), sqrt(1 / fan_in), sqrt(2 / (fan_in + fan_out))
STD = [
    ((3, 3, 1, 32), 0.4714045207910317, 0.3333333333333333, 0.08206099398622183),
    ((3, 3, 32, 64), 0.08333333333333333, 0.05892556509887896, 0.048112522432468816),
    ((1600, 128), 0.035355339059327376, 0.025, 0.034020690871988585),
    ((128, 10), 0.125, 0.08838834764831845, 0.1203858530857692),
    ((7, 7, 3, 64), 0.11664236870396086, 0.08247860988423225, 0.024681955016610288),
    ((3, 3, 64, 128), 0.05892556509887896, 0.041666666666666664, 0.034020690871988585),
]


def draw(name, shape, fan_in, fan_out, seed=0):
    return registry.get(name)(shape, fan_in, fan_out, np.random.default_rng(seed))


@pytest.mark.parametrize(("shape", "he", "fan_in_form", "glorot"), STD)
def test_std_is_the_notes(shape, he, fan_in_form, glorot):
    fan_in = int(np.prod(shape[:-1]))
    fan_out = int(np.prod(shape[:-2])) * shape[-1]
    for name, std in {
        "he_normal": he,
        "he_uniform": he,
        "kaiming_normal": he,
        "xavier_fan_in_normal": fan_in_form,
        "lecun_uniform": fan_in_form,
        "xavier_normal": glorot,
        "glorot_uniform": glorot,
    }.items():
        initializer = registry.get(name)
        assert isinstance(initializer, VarianceScaling)
        assert initializer.std(fan_in, fan_out) == pytest.approx(std, rel=1e-14), name


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("name", [name for name in RANDOM if name not in ("orthogonal", *GIVEN)])
def test_drawn_scale(name, kind):
    shape, fan_in, fan_out = SHAPES[kind]
    values = draw(name, shape, fan_in, fan_out)
    std = registry.get(name).std(fan_in, fan_out)
    n = values.size
    assert abs(values.mean()) < 4 * std / np.sqrt(n)
    assert values.std() == pytest.approx(std, rel=4 / np.sqrt(n))
    if "uniform" in name:
        limit = np.sqrt(3) * std
        assert 0.999 * limit < np.abs(values).max() <= limit
    else:
        assert np.abs(values).max() > 3 * std
        kurtosis = ((values - values.mean()) ** 4).mean() / values.var() ** 2
        assert kurtosis == pytest.approx(3, abs=4 * np.sqrt(24 / n))


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("name", RANDOM)
def test_filters_differ_and_seeds_repeat(name, kind):
    values = draw(name, *SHAPES[kind])
    assert values.dtype == np.float64
    assert values.shape == SHAPES[kind][0]
    assert values.flags.c_contiguous
    filters = values.reshape(-1, values.shape[-1])
    assert len(np.unique(filters, axis=1).T) == values.shape[-1]
    np.testing.assert_array_equal(values, draw(name, *SHAPES[kind]))
    assert not np.array_equal(values, draw(name, *SHAPES[kind], seed=1))


@pytest.mark.parametrize("gain", [1.0, 2.0])
@pytest.mark.parametrize("shape", [(3, 3, 4, 16), (1, 1, 4, 16), (20, 20), (1, 1, 1, 3), (5, 1)])
def test_orthogonal(shape, gain):
    matrix = Orthogonal(gain)(shape, 0, 0, np.random.default_rng(0)).reshape(-1, shape[-1])
    rows, columns = matrix.shape
    product = matrix.T @ matrix if rows >= columns else matrix @ matrix.T
    np.testing.assert_allclose(product, gain**2 * np.eye(min(rows, columns)), atol=1e-13)


def test_orthogonal_signs_are_random():
    """About half of all 1x1 matrices are +1: the sign is that of the random number, not LAPACK's."""
    rng = np.random.default_rng(0)
    signs = [Orthogonal()((1, 1), 1, 1, rng).item() for _ in range(200)]
    assert set(signs) == {1.0, -1.0}
    assert abs(sum(signs)) < 60


@pytest.mark.parametrize("window", [(3, 3), (1, 1), (5, 3), (2, 2), (4, 3)])
def test_dirac_is_the_identity_convolution(window):
    """With padding "same", the total is k - 1 and the smaller half comes first."""
    kernel = Dirac()((*window, 3, 3), 1, 1, np.random.default_rng(0))
    x = np.random.default_rng(1).standard_normal((6, 7, 3))
    before = [(k - 1) // 2 for k in window]
    padding = [(b, k - 1 - b) for b, k in zip(before, window, strict=True)]
    padded = np.pad(x, [*padding, (0, 0)])
    y = sum(padded[i : i + 6, j : j + 7] @ kernel[i, j] for i in range(window[0]) for j in range(window[1]))
    np.testing.assert_array_equal(y, x)


def test_dirac_repeats_channels_and_fits_other_layers():
    kernel = Dirac()((3, 3, 2, 5), 1, 1, np.random.default_rng(0))
    assert kernel.sum() == 5
    assert [int(kernel[1, 1, :, o].argmax()) for o in range(5)] == [0, 1, 0, 1, 0]
    np.testing.assert_array_equal(Dirac()((4, 4), 4, 4, np.random.default_rng(0)), np.eye(4))


def test_constants():
    rng = np.random.default_rng(0)
    assert (draw("zeros", (4, 5), 4, 5) == 0).all()
    assert (Constant(0.25)((7,), 1, 1, rng) == 0.25).all()
    assert registry.get("constant") == Constant(0.0)
    assert (draw("ones", (4, 5), 4, 5) == 1).all()
    np.testing.assert_array_equal(draw("identity", (4, 4), 4, 4), np.eye(4))


@pytest.mark.parametrize("fans", [(2, 3), (1000, 5000)])
@pytest.mark.parametrize(
    ("initializer", "distribution"),
    [
        (RandomNormal(), stats.norm(0, 0.05)),
        (RandomNormal(2.0, 0.5), stats.norm(2, 0.5)),
        (RandomUniform(), stats.uniform(-0.05, 0.1)),
        (RandomUniform(1.0, 3.0), stats.uniform(1, 2)),
        (TruncatedNormal(), stats.truncnorm(-2, 2, 0, 0.05)),
        (TruncatedNormal(-1.0, 2.0), stats.truncnorm(-2, 2, -1, 2)),
    ],
    ids=repr,
)
def test_distributions_of_a_given_scale(initializer, distribution, fans):
    values = initializer((40, 500), *fans, np.random.default_rng(0))
    assert stats.kstest(values.ravel(), distribution.cdf).pvalue > 0.01
    low, high = distribution.support()
    assert low <= values.min() < values.max() <= high


@pytest.mark.parametrize("name", GIVEN)
def test_given_scales_by_name(name):
    clf = fitted(*images(), initializer=name)
    assert np.isfinite(clf.network_.buffer).all()


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (RandomNormal, {"std": 0.0}), (RandomNormal, {"mean": np.nan}), (TruncatedNormal, {"std": -1.0}),
        (RandomUniform, {"low": 0.05}), (RandomUniform, {"high": np.inf}),
    ],
)  # fmt: skip
def test_bad_scales(kind, arguments):
    with pytest.raises(ValueError, match="must be"):
        kind(**arguments)


@pytest.mark.parametrize("initializer", [Orthogonal(), Dirac()])
def test_one_axis_is_refused(initializer):
    with pytest.raises(ValueError, match=r"at least two axes, got shape \(3,\)"):
        initializer((3,), 3, 3, np.random.default_rng(0))


@pytest.mark.parametrize(
    "arguments", [{"scale": 0.0}, {"scale": -1.0}, {"fan": "out"}, {"distribution": "cauchy"}]
)
def test_bad_parameters(arguments):
    with pytest.raises(ValueError, match="must be"):
        VarianceScaling(**arguments)


def test_wrong_signature_is_refused_with_both_signatures():
    with pytest.raises(PluginError, match=r"\(shape\), expected .*\(shape, fan_in, fan_out, rng\)"):
        registry.register("short", lambda shape: np.zeros(shape))
