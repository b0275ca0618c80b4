"""scikit-learn's own checks of the contract, with no expected failure."""

import os
import subprocess
import sys

import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

from pyconvx import CNNClassifier, CNNRegressor, ImageScaler

# One check wants a weight of 2 to be a row twice. Batches of part of the rows, and batch norm, which the default
# for signals has, are other batches then: the documentation says so. Everything else about signals is as it is.
WHOLE = {"batch_norm": False, "batch_size": 128}
ESTIMATORS = [
    CNNClassifier(max_iter=10), CNNRegressor(), ImageScaler(),
    CNNClassifier(max_iter=10, spatial_dims=1, **WHOLE), CNNRegressor(spatial_dims=1, **WHOLE),
    ImageScaler(spatial_dims=1),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(ESTIMATORS)
def test_check(estimator, check):
    check(estimator)


@pytest.mark.parametrize("kind", [CNNClassifier, CNNRegressor])
def test_all_checks_run(kind):
    # an estimator that claims to take no 2-D data is spared nearly all of them
    assert len(list(estimator_checks_generator(kind()))) >= 55


def test_checks_with_array_api_dispatch():
    """The same checks in a process in which scikit-learn dispatches on the array API."""
    tests = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", f"{__file__}::test_check"]
    environment = os.environ | {"SCIPY_ARRAY_API": "1"}
    done = subprocess.run(tests, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
