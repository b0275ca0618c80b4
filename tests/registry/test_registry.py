"""The registry against real packages, written to a folder on sys.path for each test."""

import importlib.metadata
import os
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import GOOD, GROUP

from pyconvx.exceptions import PluginError
from pyconvx.registry import Registry
from pyconvx.registry.claims import Claim, claim_of, same, target_if_imported

ROOT = Path(__file__).parents[2]


def verify(plugin: object) -> None:
    """The contract of these tests: a plugin is callable."""
    if not callable(plugin):
        raise TypeError(f"a plugin must be callable, got {plugin!r}")


@pytest.fixture
def registry() -> Registry[Callable[[], str]]:
    return Registry(GROUP, verify)


class Local:
    """A plugin of this process."""

    def __call__(self) -> str:
        return "local"


class Other(Local):
    """A second plugin of this process."""


def status(registry: Registry[Callable[[], str]], name: str) -> dict[str, str]:
    return {row.package: row.status for row in registry.listing() if row.name == name}


def test_installed_package_is_found_and_not_imported_early(registry, install):
    install("acme", "good = acme_mod:Good\nplain = acme_mod:plain", "acme_mod")
    assert {"good", "plain"} <= set(registry.names())
    assert status(registry, "good") == {"acme": "installed"}
    assert "acme_mod" not in sys.modules
    assert registry.get("good")() == "good"
    assert registry.get("plain")() == "plain"
    row = next(row for row in registry.listing() if row.name == "good")
    assert row == ("good", "acme", "1.2", "acme_mod:Good", "installed")


def test_package_installed_after_a_failed_look_up_is_found(registry, install):
    with pytest.raises(PluginError, match="unknown initializer 'good'"):
        registry.get("good")
    install("acme", "good = acme_mod:Good", "acme_mod")
    assert registry.get("good")() == "good"


def test_class_gives_a_new_instance_each_time(registry, install):
    install("acme", "good = acme_mod:Good", "acme_mod")
    assert registry.get("good") is not registry.get("good")


def test_class_stays_a_class_without_instantiate(install):
    install("acme", "good = acme_mod:Good", "acme_mod")
    found = Registry(GROUP, verify, instantiate=False).get("good")
    assert isinstance(found, type)
    assert found.__name__ == "Good"


@pytest.mark.parametrize("form", ["decorator", "call"])
def test_registration(registry, form):
    if form == "decorator":
        assert registry.register("mine")(Local) is Local
    else:
        assert registry.register("mine", Local) is Local
    assert registry.get("mine")() == "local"
    assert "mine" in registry.names()
    assert status(registry, "mine") == {"this process": "registered"}


def test_same_qualified_name_replaces(registry):
    registry.register("mine", Local)
    cell = "class Local:\n    def __call__(self):\n        return 'second'\n"
    scope = {"__name__": __name__}
    exec(cell, scope)
    registry.register("mine", scope["Local"])
    assert registry.get("mine")() == "second"
    assert len(status(registry, "mine")) == 1


def test_replacement_is_verified_too(registry):
    registry.register("mine", Local)
    scope = {"__name__": __name__}
    exec("class Local:\n    pass\n", scope)
    with pytest.raises(PluginError, match="a plugin must be callable"):
        registry.register("mine", scope["Local"])
    assert registry.get("mine")() == "local"


def test_two_registrations_fail_at_use_and_name_both(registry):
    registry.register("mine", Local)
    registry.register("mine", Other)
    with pytest.raises(PluginError, match="claimed by") as caught:
        registry.get("mine")
    assert "test_registry:Local" in str(caught.value)
    assert "test_registry:Other" in str(caught.value)
    assert "mine" not in registry.names()


def test_two_packages_fail_at_use_and_name_both(registry, install):
    install("acme", "twice = acme_mod:Good\nonce = acme_mod:plain", "acme_mod")
    install("zeta", "twice = zeta_mod:Good", "zeta_mod")
    with pytest.raises(PluginError, match=r"acme 1\.2 .*zeta 1\.2|zeta 1\.2 .*acme 1\.2"):
        registry.get("twice")
    assert registry.get("once")() == "plain"
    registry.register("twice", Local)
    here = "this process (test_registry:Local)"
    assert status(registry, "twice") == {
        "acme": f"duplicate: also claimed by zeta 1.2 (zeta_mod:Good), {here}",
        "zeta": f"duplicate: also claimed by acme 1.2 (acme_mod:Good), {here}",
        "this process": "duplicate: also claimed by acme 1.2 (acme_mod:Good), zeta 1.2 (zeta_mod:Good)",
    }


def test_package_and_registration_clash_also_when_registered_first(registry, install):
    registry.register("good", Local)
    install("acme", "good = acme_mod:Good", "acme_mod")
    with pytest.raises(PluginError, match="claimed by") as caught:
        registry.get("good")
    assert "acme 1.2" in str(caught.value)
    assert "this process" in str(caught.value)


def test_package_that_also_registers_its_entry_point_is_one_claim(registry, install):
    install("acme", "good = acme_mod:Good", "acme_mod")
    first = registry.get("good")
    registry.register("good", type(first))
    assert registry.get("good")() == "good"


def test_of_two_versions_of_a_package_the_first_on_the_path_counts(registry, install, monkeypatch, tmp_path):
    install("acme", "good = acme_mod:plain", "acme_mod")
    install("acme", "good = acme_mod:Good\nold = acme_mod:Good", folder="later")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "later")])
    assert registry.get("good")() == "plain"
    assert "old" not in registry.names()


def test_nothing_shadows_a_built_in(registry, install):
    install("acme", "he_normal = acme_mod:Good\ngood = acme_mod:Good", "acme_mod")
    with pytest.raises(PluginError, match="'he_normal' is built into pyconvx"):
        registry.register("he_normal", Local)
    assert type(registry.get("he_normal")) is not Local
    rows = status(registry, "he_normal")
    assert rows["pyconvx"] == "built-in"
    assert rows["acme"] == rows["this process"] == "refused: the name is a built-in of pyconvx"
    assert "acme_mod" not in sys.modules
    assert registry.get("good")() == "good"


@pytest.mark.parametrize(
    ("code", "cause", "words"),
    [
        ("raise RuntimeError('boom')", RuntimeError, "RuntimeError: boom"),
        ("import no_such_module_here", ModuleNotFoundError, "no_such_module_here"),
        ("x = 1", AttributeError, "AttributeError"),
        ("raise SystemExit(3)", SystemExit, "SystemExit: 3"),
        ("class Bad:\n    def __init__(self):\n        raise OSError('no init')", OSError, "no init"),
        ("Bad = 3", TypeError, "a plugin must be callable, got 3"),
        ("def f(:", SyntaxError, "SyntaxError"),
    ],
)
def test_broken_plugin_breaks_its_own_name_only(registry, install, code, cause, words):
    install("badplug", "bad = bad_mod:Bad", "bad_mod", code)
    install("acme", "good = acme_mod:Good", "acme_mod")
    with pytest.raises(PluginError) as caught:
        registry.get("bad")
    text = str(caught.value)
    assert "initializer 'bad' from badplug 1.2 (bad_mod:Bad)" in text
    assert words in text
    assert (") failed to load: " in text) != (") breaks its contract: " in text)
    assert isinstance(caught.value.__cause__, cause)
    assert status(registry, "bad") == {"badplug": f"broken: {text.partition(': ')[2]}"}
    assert registry.get("good")() == "good"


def test_malformed_entry_point_value(registry, install):
    install("badplug", "bad = ::not an object::", "bad_mod")
    with pytest.raises(PluginError, match=r"'bad' from badplug|unknown initializer 'bad'"):
        registry.get("bad")


def test_broken_plugin_works_once_it_is_mended(registry, install, tmp_path):
    install("badplug", "bad = bad_mod:Good", "bad_mod", "raise RuntimeError('boom')")
    with pytest.raises(PluginError):
        registry.get("bad")
    (tmp_path / "bad_mod.py").write_text(GOOD + "# longer than before\n")
    importlib.invalidate_caches()
    assert registry.get("bad")() == "good"
    assert status(registry, "bad") == {"badplug": "installed"}


def test_keyboard_interrupt_passes(registry, install):
    install("badplug", "bad = bad_mod:Bad", "bad_mod", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        registry.get("bad")


def test_damaged_metadata_of_another_package_is_passed_over(registry, install):
    info = install("damaged", "")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\nno equals sign\n")
    install("acme", "good = acme_mod:Good", "acme_mod")
    assert registry.get("good")() == "good"


def test_unknown_name_lists_what_there_is(registry, install):
    install("acme", "spare_init = acme_mod:Good", "acme_mod")
    with pytest.raises(PluginError) as caught:
        registry.get("he_norml")
    text = str(caught.value)
    for words in (
        "'he_norml'",
        "did you mean 'he_normal'",
        "spare_init",
        "xavier_uniform",
        "worker",
        "pass the",
    ):
        assert words in text
    with pytest.raises(PluginError, match="unknown initializer 'HE_NORMAL'"):
        registry.get("HE_NORMAL")


def test_error_names_the_kind_in_the_singular():
    with pytest.raises(PluginError, match="unknown loss 'x'"):
        Registry("pyconvx.losses", verify).get("x")


@pytest.mark.parametrize("name", [None, 3, b"he_normal", ["he_normal"]])
def test_names_are_strings(registry, name):
    with pytest.raises(TypeError, match=r"^initializer: a name must be a str, got "):
        registry.get(name)
    with pytest.raises(TypeError, match=r"^initializer: a name must be a str, got "):
        registry.register(name, Local)


def test_registration_is_verified(registry):
    with pytest.raises(PluginError, match="a plugin must be callable, got 3") as caught:
        registry.register("three", 3)
    assert isinstance(caught.value.__cause__, TypeError)
    assert "three" not in registry.names()


def test_resolve(registry):
    registry.register("mine", Local)
    given = Local()
    assert registry.resolve(given) is given
    assert registry.resolve(Local)() == "local"
    assert registry.resolve("mine")() == "local"
    with pytest.raises(TypeError, match="a plugin must be callable, got 3"):
        registry.resolve(3)


def test_missing_own_metadata_says_reinstall(tmp_path):
    """In a process that finds the sources of pyconvx but no installed distribution."""
    (tmp_path / "pyconvx" / "registry").mkdir(parents=True)
    for path in (*(ROOT / "pyconvx" / "registry").glob("*.py"), ROOT / "pyconvx" / "exceptions.py"):
        (tmp_path / path.relative_to(ROOT)).write_text(path.read_text())
    (tmp_path / "pyconvx" / "__init__.py").write_text("")
    code = (
        "from pyconvx.registry import Registry\n"
        "try:\n    Registry('pyconvx.solvers', print).get('adam')\n"
        "except ValueError as error:\n    print(type(error).__name__, error)\n"
    )
    run = [sys.executable, "-S", "-c", code]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(run, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("PluginError")
    assert "reinstall pyconvx" in done.stdout


def test_entry_points_agree_with_pyproject():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    installed: dict[str, dict[str, str]] = {}
    for entry in importlib.metadata.distribution("pyconvx").entry_points:
        if entry.group.startswith("pyconvx."):
            installed.setdefault(entry.group, {})[entry.name] = entry.value
    assert installed == declared, "reinstall pyconvx: its metadata is older than pyproject.toml"


def test_many_threads_load_one_plugin(registry, install):
    """The import is slow, and the module itself registers another name."""
    code = (
        "import time\nfrom test_registry import SHARED\n"
        "time.sleep(0.02)\n"
        "def helper():\n    return 'helper'\n"
        "SHARED[0].register('helper', helper)\n" + GOOD
    )
    sys.modules["test_registry"] = sys.modules[__name__]
    SHARED[:] = [registry]
    install("acme", "good = acme_mod:Good", "acme_mod", code)
    results: list[str] = []
    threads = [threading.Thread(target=lambda: results.append(registry.get("good")())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert results == ["good"] * 8
    assert registry.get("helper")() == "helper"


SHARED: list[Registry[Callable[[], str]]] = []


def test_identify_finds_names_and_imports_nothing(install, registry):
    install("acme", "shout = shouting:Good\nplainly = shouting:plain\nother = never_imported:Good", "shouting")
    assert registry.identify(Local()) == (None, False)
    assert "shouting" not in sys.modules
    shout = registry.get("shout")
    row, whole = registry.identify(shout)
    assert (row.name, row.package, row.version, row.status, whole) == ("shout", "acme", "1.2", "installed", False)
    row, whole = registry.identify(sys.modules["shouting"].plain)
    assert (row.name, whole) == ("plainly", True)
    registry.register("local", Local)
    row, whole = registry.identify(Local())
    assert (row.name, row.package, row.status, whole) == ("local", "this process", "registered", False)
    assert registry.claimed("shout") == registry.identify(shout)[0]
    assert registry.claimed("he_normal").status == "built-in"
    assert "never_imported" not in sys.modules
    with pytest.raises(PluginError, match="unknown initializer"):
        registry.claimed("nothing")


def test_identify_passes_over_comparisons_that_fail(registry):
    class Odd(Local):
        def __eq__(self, other):
            raise RuntimeError("no comparison")

    odd = Odd()
    registry.register("odd", Odd())
    assert registry.identify(odd) == (None, False)


def test_same():
    """Values are compared within one class; other objects must be identical."""
    assert same(len, len)
    assert same(Local(), Local()) == (Local() == Local())
    assert same([1], [1])
    assert not same([1], [2])
    assert not same(1, 1.0)
    assert not same(len, max)


def test_what_was_imported_is_found_at_any_depth():
    entry = importlib.metadata.EntryPoint("dumps", "os:path.join", GROUP)
    assert target_if_imported(Claim("dumps", "", "", entry.value, entry)) is os.path.join
    entry = importlib.metadata.EntryPoint("dumps", "no_module_of_this_name:x", GROUP)
    assert target_if_imported(Claim("dumps", "", "", entry.value, entry)) is None


def test_an_entry_of_no_package():
    entry = importlib.metadata.EntryPoint("swish", "acme:Swish", GROUP)
    claim = claim_of(entry)
    assert claim == Claim("swish", "an unnamed package", "", "acme:Swish")
    assert claim.entry is entry
    assert str(claim) == "an unnamed package (acme:Swish)"
    assert str(Claim("swish", "acme", "1.2", "acme:Swish")) == "acme 1.2 (acme:Swish)"
