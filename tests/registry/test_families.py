"""The one table of families: complete, and read by everything that goes through all of them."""

import importlib.metadata

import good_plugins
import pytest

import pyconvx
from pyconvx import testing
from pyconvx.persistence import Reader, Writer
from pyconvx.registry.families import FAMILIES, registry_of
from pyconvx.testing.__main__ import CHECKS


def test_every_group_of_pyconvx_s_entry_points_is_a_family():
    groups = {entry.group for entry in importlib.metadata.distribution("pyconvx").entry_points}
    assert {family.group for family in FAMILIES.values()} == {g for g in groups if g.startswith("pyconvx.")}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family(name):
    family = FAMILIES[name]
    assert family.name == name
    assert family.registry.group == family.group == f"pyconvx.{name}"
    assert family.registry.kind == family.kind
    assert registry_of(family.group) is family.registry
    assert family.check_name in testing.__all__
    assert CHECKS[family.kind] is getattr(testing, family.check_name)
    assert family.parameter in pyconvx.CNNClassifier().get_params()
    assert family.parameter == good_plugins.FAMILIES[name][1]


def test_every_check_belongs_to_a_family():
    assert {f"check_{family.kind}" for family in FAMILIES.values()} == set(testing.__all__)


@pytest.mark.parametrize("name", FAMILIES)
def test_versions_and_files_know_it(name, install, capsys):
    kind = good_plugins.FAMILIES[name][0]
    install("acme", f"of_acme = good_plugins:{kind}", group=f"pyconvx.{name}")
    pyconvx.show_versions()
    assert f"of_acme (pyconvx.{name}) from acme 1.2: installed" in capsys.readouterr().out
    FAMILIES[name].registry.get("of_acme")
    plugin = getattr(good_plugins, kind)()
    writer = Writer()
    document = writer.write(plugin, "there")
    assert document["plugin"]["family"] == name
    assert writer.plugins == {(name, "of_acme"): ("acme", "1.2")}
    assert type(Reader({}).read(document)) is type(plugin)
