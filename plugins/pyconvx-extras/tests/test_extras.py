"""Every name of this package passes pyconvx's own checks, and does what its docstring says."""

import importlib.metadata
import subprocess
import sys

import numpy as np
import pytest
from pyconvx_extras import Plain, Snake, SparseHeNormal, TruncatedHeNormal

from pyconvx import CNNClassifier, activations, architectures, initializers, testing

ENTRIES = importlib.metadata.distribution("pyconvx-extras").entry_points
ACTIVATIONS = sorted(ENTRIES.select(group="pyconvx.activations").names)
ARCHITECTURES = sorted(ENTRIES.select(group="pyconvx.architectures").names)
INITIALIZERS = sorted(ENTRIES.select(group="pyconvx.initializers").names)


def test_every_name_is_listed():
    assert ACTIVATIONS == ["bent_identity", "snake", "squared_relu"]
    assert INITIALIZERS == ["sparse_he_normal", "truncated_he_normal"]
    assert ARCHITECTURES == ["plain"]
    for family, names in (
        (activations, ACTIVATIONS),
        (architectures, ARCHITECTURES),
        (initializers, INITIALIZERS),
    ):
        registry = family.registry
        rows = {row.name: row for row in registry.listing()}
        assert {rows[name].status for name in names} == {"installed"}
        assert {rows[name].package for name in names} == {"pyconvx-extras"}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name):
    testing.check_activation(name)


@pytest.mark.parametrize("name", INITIALIZERS)
def test_initializer(name):
    testing.check_initializer(name)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architecture(name):
    testing.check_architecture(name)


def test_plain_in_an_estimator():
    layers = CNNClassifier(layers="plain").summary((32, 32, 3), n_classes=10)
    assert layers.n_parameters == 16 * 27 + 32 * 16 * 9 + 64 * 32 * 9 + 2 * (16 + 32 + 64) + 65 * 10
    assert Plain(2, 8).layers((9, 9, 1))[3].filters == 16
    with pytest.raises(ValueError, match="Plain is for images"):
        Plain().layers((9, 1))


@pytest.mark.parametrize("frequency", [0.5, 3.0])
def test_snake_of_another_frequency(frequency):
    testing.check_activation(Snake(frequency))


def test_known_values():
    x = np.array([-2.0, 0.0, 3.0])
    np.testing.assert_allclose(activations.registry.get("squared_relu").forward(x), [0, 0, 9])
    bent = activations.registry.get("bent_identity").forward(x)
    np.testing.assert_allclose(bent, [(5**0.5 - 1) / 2 - 2, 0, (10**0.5 - 1) / 2 + 3])
    np.testing.assert_allclose(Snake().forward(np.array([np.pi / 2])), [np.pi / 2 + 1])


def test_truncated_he_normal_scale():
    values = TruncatedHeNormal()((3, 3, 32, 64), 288, 576, np.random.default_rng(0))
    std = (2 / 288) ** 0.5
    assert values.std() == pytest.approx(std, rel=0.02)
    assert np.abs(values).max() <= 2 * std / 0.8796256610342398


@pytest.mark.parametrize("density", [0.1, 0.25, 1.0])
def test_sparse_he_normal_scale(density):
    values = SparseHeNormal(density)((400, 100), 400, 100, np.random.default_rng(0))
    assert ((values != 0).sum(axis=0) == round(400 * density)).all()
    assert values.var() == pytest.approx(2 / 400, rel=0.1)


def test_names_work_in_a_new_process_without_an_import():
    code = (
        "import sys, numpy as np\n"
        "from pyconvx.activations import registry\n"
        "assert 'pyconvx_extras' not in sys.modules\n"
        "print(registry.get('squared_relu').forward(np.array([3.0])).item())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "9.0"
