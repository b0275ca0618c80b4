"""The public checks on every registered name; wrong plugins are in test_testing_*.py."""

import subprocess
import sys

import pytest

from pyconvx import activations, architectures, initializers, losses, schedules, solvers, testing
from pyconvx.exceptions import PluginError
from pyconvx.registry.families import FAMILIES

BIASES = ("zeros", "ones", "constant")


@pytest.mark.parametrize("name", activations.registry.names())
def test_registered_activation(name):
    testing.check_activation(name)


@pytest.mark.parametrize("name", initializers.registry.names())
def test_registered_initializer(name):
    testing.check_initializer(name, kernel=name not in BIASES)


@pytest.mark.parametrize("name", architectures.registry.names())
def test_registered_architecture(name):
    testing.check_architecture(name)


@pytest.mark.parametrize("name", losses.registry.names())
def test_registered_loss(name):
    testing.check_loss(name)


@pytest.mark.parametrize("name", schedules.registry.names())
def test_registered_schedule(name):
    testing.check_schedule(name)


@pytest.mark.parametrize("name", solvers.registry.names())
def test_registered_solver(name):
    testing.check_solver(name)


@pytest.mark.parametrize("name", BIASES)
def test_constants_are_no_kernels(name):
    with pytest.raises(AssertionError, match=f"'{name}': all filters"):
        testing.check_initializer(name)


@pytest.mark.parametrize("check", [getattr(testing, family.check_name) for family in FAMILIES.values()])
def test_unknown_names(check):
    with pytest.raises(PluginError, match=r"unknown .* 'no_such_name'"):
        check("no_such_name")


@pytest.mark.parametrize(
    ("arguments", "code", "out", "error"),
    [
        ("activation relu tanh", 0, "ok      activation 'relu'\nok      activation 'tanh'\n", ""),
        ("schedule cosine", 0, "ok      schedule 'cosine'\n", ""),
        ("solver nope adam", 1, "ok      solver 'adam'\n", "FAILED  unknown solver 'nope'"),
        ("initializer zeros", 1, "", "FAILED  initializer 'zeros': all filters"),
        ("loss", 2, "", "usage: "),
        ("colour red", 2, "", "usage: "),
    ],
)
def test_checks_from_a_shell(arguments, code, out, error):
    command = [sys.executable, "-m", "pyconvx.testing", *arguments.split()]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert (run.returncode, run.stdout) == (code, out)
    assert run.stderr.startswith(error)
    assert bool(run.stderr) == bool(code)
