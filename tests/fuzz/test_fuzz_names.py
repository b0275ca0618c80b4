"""Every public name has a fuzz test, and there are enough cases in all."""

import importlib
from pathlib import Path

import conftest
import fuzzing
import pytest

FILES = sorted(path.stem for path in Path(__file__).parent.glob("test_fuzz_*.py"))
PACKAGES = (
    "",
    "ops",
    "layers",
    "architectures",
    "activations",
    "initializers",
    "losses",
    "schedules",
    "solvers",
    "filters",
    "network",
    "datasets",
)
# names that are not functions of arguments: errors, contracts, registries (test_registry.py), constants, reports
EXEMPT = {
    "CheckpointError", "DivergenceError", "ModelFileError", "PluginError", "TrainingWarning", "InputScaleWarning",
    "FlatImagesWarning", "get_include",
    "show_versions",
    "layers.Affine", "layers.Context", "layers.Epilogue", "layers.Layer", "layers.ParameterSpec", "layers.Program",
    "layers.Randomness", "architectures.Architecture", "layers.verify_layer", "activations.Activation",
    "activations.ActivationRegistry", "initializers.Initializer", "losses.Loss", "schedules.Schedule",
    "schedules.uses_max_epochs", "solvers.Solver", "filters.CROSS", "filters.SEVEN", "filters.KERNELS",
    *(f"{package}.registry" for package in PACKAGES),
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def every_fuzz_test():
    for name in FILES:
        importlib.import_module(name)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_fuzzed(package):
    module = importlib.import_module(f"pyconvx.{package}".rstrip("."))
    names = {f"{package}.{name}".lstrip(".") for name in module.__all__}
    assert names <= fuzzing.covered | EXEMPT
    assert not fuzzing.covered & EXEMPT


def test_enough_cases():
    weights = sum(fuzzing.planned.values()) / fuzzing.settings.default.max_examples
    assert weights * fuzzing.CI_CASES >= 1000
    assert weights * fuzzing.NIGHTLY_CASES >= 1.05 * conftest.LEAST
