"""Files and tests that settings and scripts name are there: moved files take their mentions along."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
MUTATION = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutmut"]
NAMED = re.compile(r"(?<![\w/-])(?:tests|docs|benchmarks|examples)/[\w/.-]*\.(?:py|md|svg)\b")


def test_mutation_names_files_that_exist():
    for pattern in MUTATION["only_mutate"]:
        assert list(ROOT.glob(pattern)), pattern


def test_mutation_names_tests_that_exist():
    for argument in MUTATION["pytest_add_cli_args_test_selection"]:
        path, _, name = argument.removeprefix("--deselect=").partition("::")
        assert not name or f"def {name}(" in (ROOT / path).read_text(), argument
        assert (ROOT / path).exists(), argument


def test_scripts_and_documents_name_paths_that_exist():
    pages = [ROOT / "Makefile", ROOT / ".ci" / "run", *ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    for page in pages:
        for path in NAMED.findall(page.read_text()):
            assert (ROOT / path).exists() or (page.parent / path).exists(), f"{page.name} names {path}"


def test_documents_name_tests_that_exist():
    tests = {path.name for path in (ROOT / "tests").rglob("*.py")}
    text = (ROOT / "docs" / "evidence" / "testing.md").read_text()
    assert set(re.findall(r"`(\w+\.py)`", text)) <= tests


def test_sources_name_documents_that_exist():
    for folder in ("pyconvx", "tests", "benchmarks"):
        for source in (ROOT / folder).rglob("*.[phi]*"):
            if source.suffix in {".py", ".pyx", ".pxd", ".pyi", ".h", ".inc"}:
                for path in re.findall(r"\bdocs/[\w/-]+\.(?:md|py)\b", source.read_text()):
                    assert (ROOT / path).exists(), f"{source.relative_to(ROOT)} names {path}"
