"""The documents: their code runs, their quotations and links are right, the docstrings' examples too.

A ``python`` block runs after the earlier ones of its file, in a folder of its own. A block opened with
``python file=<path>`` is a quotation: its text has to stand in that file.
"""

import doctest
import importlib
import os
import pkgutil
import re
import sys
import types
from pathlib import Path

import pytest

import pyconvx

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
BLOCK = re.compile(r"^```(\S+)[ ]*(?:file=(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)")
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


@pytest.mark.parametrize("document", by_path(d for d in DOCUMENTS if "```python\n" in d.read_text()))
def test_code_runs(document, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main = types.ModuleType("__main__")  # a class in a document pickles as one in a notebook does
    monkeypatch.setitem(sys.modules, "__main__", main)
    for line, quoted, text in blocks(document, "python"):
        if quoted is None:
            # blank lines, so that a traceback tells the line of the document
            exec(compile("\n" * line + text, str(document), "exec"), vars(main))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("document", by_path(DOCUMENTS))
def test_quotations_and_links(document):
    for language in ("python", "toml", "c"):
        for line, quoted, text in blocks(document, language):
            if quoted is not None:
                assert text in (ROOT / quoted).read_text(), f"line {line} does not stand in {quoted}"
    for target in LINK.findall(document.read_text()):
        if not target.startswith("https://"):
            assert (document.parent / target).exists(), target


def test_plugins_document_quotes_both_packages():
    text = (ROOT / "docs" / "plugins.md").read_text()
    for package in ("pyconvx-extras", "pyconvx-cython-activation"):
        assert f"file=plugins/{package}/" in text


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_docstrings(name):
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0


def test_modules_are_found():
    assert {"pyconvx.ops.convolution", "pyconvx.estimators.classifier"} <= set(MODULES)
