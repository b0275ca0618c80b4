"""Writes docs/guide/reference.md: every public name, with the first sentence of its documentation.

    python docs/reference.py

It needs pyconvx. A test compares the names on the page with those of the package.
"""

import importlib
import importlib.metadata
import inspect
import textwrap
from pathlib import Path

PAGE = Path(__file__).parent / "guide" / "reference.md"
HEAD = """# Reference

Every public name, with the first sentence of its documentation. `help(name)`, or `name?` in a notebook, shows the
rest: parameters, shapes, errors and examples. `make reference` writes this page.
"""
# the public packages, and what an introduction says
PACKAGES = {
    "pyconvx": "The estimators, and what belongs to them. [Parameters](parameters.md) has a page of its own.",
    "pyconvx.layers": "Values to build networks from, for the parameter `layers`.",
    "pyconvx.architectures": "Named stacks of layers, for the parameter `layers`: [a table](architectures.md).",
    "pyconvx.activations": "Functions after a layer. `registry` looks up names, here and in the other families.",
    "pyconvx.initializers": "How kernels begin.",
    "pyconvx.losses": "What training minimises, and how outputs become predictions.",
    "pyconvx.solvers": "How parameters change in a step.",
    "pyconvx.schedules": "How the learning rate changes.",
    "pyconvx.ops": "Convolution, pooling and their gradients, on arrays.",
    "pyconvx.datasets": "Files to arrays: folders of images, IDX, npz, published data sets. See [data](data.md).",
    "pyconvx.filters": "Classic image filters, also as a transformer.",
    "pyconvx.testing": "Checks for authors of plugins.",
}


def summary(value: object) -> str:
    """Return the first paragraph of a docstring as one line that a table can hold."""
    first = " ".join((inspect.getdoc(value) or "").split("\n\n")[0].split())
    return first.replace("``", "`").replace("|", "\\|")


def built_in(group: str) -> list[str]:
    """Return the names that pyconvx itself has in a group of entry points."""
    entries = importlib.metadata.distribution("pyconvx").entry_points
    return sorted(entry.name for entry in entries.select(group=group))


def section(package: str, text: str) -> str:
    """Write the part of one package."""
    module = importlib.import_module(package)
    lines = [f"## {package}", "", text, ""]
    public = {name: getattr(module, name) for name in sorted(module.__all__, key=str.lower)}
    described = {name for name, value in public.items() if inspect.isclass(value) or inspect.isroutine(value)}
    if package != "pyconvx.layers":
        lines += listed("Names in the registry", built_in(package))
    lines += ["| name | what it is |", "|---|---|"]
    lines += [f"| `{name}` | {summary(value)} |" for name, value in public.items() if name in described]
    lines += ["", *listed("Values", [name for name in public if name not in described])]
    return "\n".join(lines).rstrip() + "\n"


def listed(title: str, names: list[str]) -> list[str]:
    """Write a paragraph of names, if there are any."""
    words = f"{title}: " + ", ".join(f"`{name}`" for name in names) + "."
    return [*textwrap.wrap(words, 119, break_on_hyphens=False), ""] if names else []


def page() -> str:
    """Write the whole page."""
    return "\n".join([HEAD, *(section(package, text) for package, text in PACKAGES.items())])


if __name__ == "__main__":
    PAGE.write_text(page())
