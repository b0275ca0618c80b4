"""The house as docs/internals/architecture.md describes it, checked from the source."""

import ast
import statistics

import pytest
from places import ROOT, TESTS
from source_rules import (
    circles,
    import_graph,
    long_argument_lists,
    long_functions,
    long_kernels,
    module_name,
    only_assigns,
    upward_imports,
)

PACKAGE = ROOT / "pyconvx"
FILES = {module_name(path, ROOT): path for path in sorted(PACKAGE.rglob("*.py"))}
TEXTS = {name: path.read_text(encoding="utf-8") for name, path in FILES.items()}
KERNELS = sorted(path for kind in ("pyx", "pxd", "inc", "h") for path in PACKAGE.rglob(f"*.{kind}"))
# from top to bottom; rooms on one floor do not import each other
FLOORS = [
    {"pyconvx"},
    {"estimators"},
    {"inspection", "testing"},
    {"persistence", "training", "datasets"},
    {"network"},
    {"architectures"},
    {"layers"},
    {"activations", "initializers", "losses", "solvers", "schedules", "filters"},
    {"registry"},
    {"ops"},
    {"_core"},
    {"_ext"},
    {"exceptions"},
]
BELOW_ESTIMATORS = [name for name in TEXTS if name.split(".")[1:2] not in ([], ["estimators"])]


def test_imports_go_down():
    assert upward_imports(import_graph(TEXTS), FLOORS, "pyconvx") == []


def test_no_circles():
    assert circles(import_graph(TEXTS)) == []


def test_every_room_is_on_a_floor():
    rooms = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py"} - {"__init__"}
    rooms |= {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()} | {"pyconvx"}
    assert rooms == set().union(*FLOORS)


def test_only_ops_and_core_call_compiled_code():
    users = {name for name, others in import_graph(TEXTS).items() if any("._ext" in other for other in others)}
    assert {name.split(".")[1] for name in users if not name.startswith("pyconvx._ext")} == {"ops", "_core"}


def test_no_private_modules_at_the_root():
    assert [path.name for path in PACKAGE.glob("_*.py")] == ["__init__.py"]


def test_tests_mirror_the_package():
    folders = {path.name for path in TESTS.iterdir() if path.is_dir() and not path.name.startswith((".", "__py"))}
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert folders - rooms == {"system", "fuzz", "support", "stored"}
    assert rooms - folders == set()


def test_files_are_short():
    lines = {path: path.read_text(encoding="utf-8").count("\n") for path in [*FILES.values(), *KERNELS]}
    assert {str(path.relative_to(ROOT)): n for path, n in lines.items() if n > 400} == {}
    assert statistics.median(lines[path] for path in FILES.values()) <= 120


@pytest.mark.parametrize("name", TEXTS)
def test_functions_are_short(name):
    assert long_functions(TEXTS[name], 40) == []


@pytest.mark.parametrize("path", KERNELS, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_kernels_are_short(path):
    if path.suffix in (".pyx", ".pxd"):
        assert long_kernels(path.read_text(encoding="utf-8"), 60) == []


@pytest.mark.parametrize("name", BELOW_ESTIMATORS)
def test_argument_lists_are_short(name):
    assert long_argument_lists(TEXTS[name], 8) == []


# --- the rules themselves -------------------------------------------------------------------------


def test_rule_of_floors():
    graph = import_graph(
        {"p": "import p.b", "p.a": "from p import b", "p.b": "def f():\n    import p.a", "p.c": ""}
    )
    assert graph == {"p": {"p.b"}, "p.a": {"p.b"}, "p.b": {"p.a"}, "p.c": set()}
    assert upward_imports(graph, [{"p"}, {"a"}, {"b", "c"}], "p") == ["p.b imports p.a"]
    assert upward_imports(graph, [{"p"}, {"a", "b"}, {"c"}], "p") == ["p.a imports p.b", "p.b imports p.a"]
    with pytest.raises(AssertionError, match="relative import in line 1"):
        import_graph({"p.a": "from . import b"})


def test_rule_of_circles():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == [["b", "c", "b"]]
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_rule_of_long_functions():
    text = 'def f(a):\n    """One.\n\n    Two.\n    """\n    a += 1\n    return a\n'
    assert long_functions(text, 3) == []
    assert long_functions(text, 2) == ["f: 3 lines"]
    assigns = (
        ast.parse("class A:\n    def __init__(self, a):\n        self.a = a\n        self.b = 2").body[0].body[0]
    )
    assert only_assigns(assigns)
    assert not only_assigns(ast.parse("def __init__(self):\n    run()\n    run()").body[0])


def test_rule_of_argument_lists():
    assert long_argument_lists("def f(self, a, b, *, c): ...", 3) == []
    assert long_argument_lists("def f(a, b, *, c): ...", 2) == ["f takes 3 arguments"]
    assert long_argument_lists("f(1, 2, a=3)", 2) == ["f is passed 3 arguments, line 1"]
    assert long_argument_lists("context.run(f, 1, 2)", 2) == []


def test_rule_of_kernels():
    method = "    cdef void f(self,\n                int a) noexcept nogil:\n        a += 1\n\n        a += 2\n"
    text = "cdef class A:\n" + method + "\ncdef int g():\n    return 1\n"
    assert long_kernels(text, 4) == []
    assert long_kernels(text, 3) == ["f: 4 lines"]
    assert long_kernels(text, 1) == ["f: 4 lines", "g: 2 lines"]
