"""The documents: their code runs, their quotations and links are right, and so are the docstrings' examples.

A ``python`` block runs after the earlier ones of its file, in a folder of its own. A block opened with
``python file=<path>`` is a quotation: its text has to be part of that file.
"""

import ast
import doctest
import importlib
import os
import pkgutil
import pydoc
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest
from sklearn.base import BaseEstimator
from sklearn.neural_network import MLPClassifier, MLPRegressor

import pyconvx
import pyconvx.filters

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
NOT_OURS = {"build", "mutants"}  # besides folders whose name begins with a dot
TEMPLATE = ROOT / "benchmarks" / "page.md"  # its links are checked in the page that is written from it
PAGES = [
    path
    for path in sorted(ROOT.rglob("*.md"))
    if path != TEMPLATE
    and not any(part in NOT_OURS or part.startswith(".") for part in path.relative_to(ROOT).parts)
]
# pages whose code runs with pyconvx alone; those of the plugins need the plugins
DOCUMENTS = [path for path in PAGES if path.parent == ROOT or DOCS in path.parents]
FOLDERS = ("guide", "plugins", "internals", "evidence")
BLOCK = re.compile(r"^```(\S+)[ ]*(?:file=(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"^```.*?^```$|^    .*?$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)|<source [^>]*srcset=\"([^\"]+)\"|<img [^>]*src=\"([^\"]+)\"")
HEADING = re.compile(r"^#{1,6} (.+?)\s*$", re.MULTILINE)
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(pyconvx.__path__, "pyconvx.")
    if not module.name.startswith("pyconvx._ext")
)


def blocks(document, language):
    """(line, quoted file or None, text) of each block in a language."""
    text = document.read_text()
    for match in BLOCK.finditer(text):
        if match[1] == language:
            yield text[: match.start(3)].count("\n"), match[2], match[3]


def by_path(documents):
    """The parameters of a test, named as in the tree."""
    return [pytest.param(path, id=str(path.relative_to(ROOT))) for path in documents]


def anchors(document):
    """The names that GitHub gives to the headings of a page."""
    names = set()
    for title in HEADING.findall(FENCED.sub("", document.read_text())):
        plain = re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", title)
        name = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        copies = (name, *(f"{name}-{i}" for i in range(1, 100)))
        names.add(next(copy for copy in copies if copy not in names))
    return names


def links(document):
    """The targets of a page's links and pictures, without those on the web."""
    found = ["".join(groups) for groups in LINK.findall(CODE.sub("", document.read_text()))]
    return [target for target in found if not target.startswith("https://")]


@pytest.mark.parametrize("document", by_path(d for d in DOCUMENTS if "```python\n" in d.read_text()))
def test_code_runs(document, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main = types.ModuleType("__main__")  # a class in a document pickles as one in a notebook does
    monkeypatch.setitem(sys.modules, "__main__", main)
    for line, quoted, text in blocks(document, "python"):
        if quoted is None:
            # blank lines, so that a traceback shows the line of the document
            exec(compile("\n" * line + text, str(document), "exec"), vars(main))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("document", by_path(PAGES))
def test_quotations(document):
    for language in ("python", "toml", "c"):
        for line, quoted, text in blocks(document, language):
            if quoted is not None:
                assert text in (ROOT / quoted).read_text(), f"the block in line {line} is not part of {quoted}"


@pytest.mark.parametrize("document", by_path(PAGES))
def test_links_and_anchors(document):
    for target in links(document):
        path, _, anchor = target.partition("#")
        page = (document.parent / path).resolve() if path else document
        assert page.exists(), target
        assert ROOT in page.parents, f"{target} leads out of the repository"
        if anchor:
            assert anchor in anchors(page), f"{target}: the headings are {sorted(anchors(page))}"


def test_the_map_leads_to_every_page():
    mapped = {(DOCS / target.partition("#")[0]).resolve() for target in links(DOCS / "index.md")}
    pages = {path for path in PAGES if DOCS in path.parents} - {DOCS / "index.md"}
    assert pages <= mapped, f"docs/index.md does not name {sorted(map(str, pages - mapped))}"


def test_every_page_has_a_reader():
    for path in PAGES:
        if DOCS in path.parents and path.parent != DOCS:
            assert path.relative_to(DOCS).parts[0] in FOLDERS, path


def test_figures_are_what_the_script_draws():
    run = subprocess.run([sys.executable, DOCS / "figures" / "draw.py", "--check"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_reference_lists_the_public_names():
    sections = re.split(r"^## ", (DOCS / "guide" / "reference.md").read_text(), flags=re.MULTILINE)[1:]
    for section in sections:
        package = section.split("\n")[0]
        listed = section.partition("Values: ")[2]
        names = {*re.findall(r"^\| `(\w+)`", section, re.MULTILINE), *re.findall(r"`(\w+)`", listed)}
        assert names == set(importlib.import_module(package).__all__), "docs/reference.py writes the page"


def test_plugins_page_quotes_both_packages():
    text = (DOCS / "plugins" / "writing-plugins.md").read_text()
    for package in ("pyconvx-extras", "pyconvx-cython-activation"):
        assert f"file=plugins/{package}/" in text


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_docstrings(name):
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0


NUMERIC = [
    (package, name)
    for package in (
        "activations",
        "estimators",
        "filters",
        "initializers",
        "layers",
        "losses",
        "network",
        "ops",
        "solvers",
    )
    for name in importlib.import_module(f"pyconvx.{package}").__all__
]


@pytest.mark.parametrize(("package", "name"), NUMERIC)
def test_help_names_types_instead_of_spelling_them_out(package, name):
    text = pydoc.plain(pydoc.render_doc(getattr(importlib.import_module(f"pyconvx.{package}"), name)))
    for spelled_out in ("numpy._typing", "numpy.dtype["):
        assert spelled_out not in text


def test_modules_are_found():
    assert {"pyconvx.ops.convolution", "pyconvx.estimators.classifier"} <= set(MODULES)


# the part of the page, and the estimators whose parameters it describes; None is every other part
PARAMETERS = DOCS / "guide" / "parameters.md"
PARTS = {
    "ImageScaler": (pyconvx.ImageScaler,),
    "FilterBank": (pyconvx.filters.FilterBank,),
    "CNNTransformer": (pyconvx.CNNTransformer,),
    None: tuple(
        value
        for name, value in sorted(vars(pyconvx).items())
        if isinstance(value, type)
        and issubclass(value, BaseEstimator)
        and name not in ("ImageScaler", "CNNTransformer")
    ),
}
DEFAULT = re.compile(r"Default: `([^`]+)`(?: \((?:`(\w+)`: `([^`]+)`|`(\w+)` only)\))?\. ")


def described_parameters():
    """(part, parameter, body) of each section of the page of parameters."""
    part = None
    for section in re.split(r"^(?=##)", PARAMETERS.read_text(), flags=re.MULTILINE):
        title, _, body = section.partition("\n")
        if title.startswith("### "):
            yield part, title[4:], body.strip()
        elif title.startswith("## "):
            part = title[3:] if title[3:] in PARTS else None


@pytest.mark.parametrize("part", PARTS)
def test_every_parameter_has_a_section_and_every_section_a_parameter(part):
    described = [name for found, name, _ in described_parameters() if found == part]
    assert len(described) == len(set(described))
    assert set(described) == {name for kind in PARTS[part] for name in kind().get_params(deep=False)}


@pytest.mark.parametrize(
    ("part", "name", "body"), [pytest.param(*s, id=f"{s[0] or 'network'}-{s[1]}") for s in described_parameters()]
)
def test_sections_of_parameters_are_short_and_name_the_defaults(part, name, body):
    assert 2 <= len(body.splitlines()) <= 6
    match = DEFAULT.match(" ".join(body.split()))
    assert match is not None, "a section begins with: Default: `value`."
    default, other, others_default, only = match.groups()
    for kind in PARTS[part]:
        params = kind().get_params(deep=False)
        if only is not None:
            assert (kind.__name__ == only) == (name in params)
        if name in params:
            expected = others_default if kind.__name__ == other else default
            assert params[name] == ast.literal_eval(expected), kind.__name__


@pytest.mark.parametrize(
    ("ours", "theirs"), [(pyconvx.CNNClassifier, MLPClassifier), (pyconvx.CNNRegressor, MLPRegressor)]
)
def test_defaults_that_differ_from_scikit_learns_are_named(ours, theirs):
    defaults, others = ours().get_params(), theirs().get_params()
    assert {name for name in others if defaults.get(name, others[name]) != others[name]} == {
        "hidden_layer_sizes",
        "max_iter",
        "n_iter_no_change",
    }
    words = " ".join(PARAMETERS.read_text().split())
    for name, theirs_says in (("hidden_layer_sizes", "`(100,)`"), ("max_iter", "200"), ("n_iter_no_change", "10")):
        assert str(others[name]) == theirs_says.strip("`")
        assert defaults[name] == "auto"
        assert f"[{name}](#{name})" in words
        assert f'`"auto"` instead of {theirs_says}' in words


def test_all_estimators_are_described():
    assert {pyconvx.CNNClassifier, pyconvx.CNNRegressor} <= set(PARTS[None])
