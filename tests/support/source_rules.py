"""What the rules of docs/internals/architecture.md say of source text; no module is imported for it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def module_name(path: Path, root: Path) -> str:
    """Return the dotted name of a file under `root`, the folder that holds the package."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_modules(source: str, known: set[str]) -> Iterator[str]:
    """Yield the modules that a file imports, anywhere in it; `from a import b` is a.b if that is a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"relative import in line {node.lineno}"
            base = node.module or ""
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield inner if inner in known else base


def import_graph(files: dict[str, str]) -> dict[str, set[str]]:
    """Return which of these modules each module imports; `files` maps names to sources."""
    known = set(files)
    return {name: (set(imported_modules(text, known)) & known) - {name} for name, text in files.items()}


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the import circles, one for each module on which a walk runs into itself."""
    done: set[str] = set()
    found: list[list[str]] = []

    def walk(name: str, path: list[str]) -> None:
        if name in path:
            found.append([*path[path.index(name) :], name])
        elif name not in done:
            for other in sorted(graph[name]):
                walk(other, [*path, name])
            done.add(name)

    for name in sorted(graph):
        walk(name, [])
    return found


def upward_imports(graph: dict[str, set[str]], floors: list[set[str]], package: str) -> list[str]:
    """Return the imports that do not go down; rooms on one floor do not import each other."""
    height = {room: i for i, rooms in enumerate(reversed(floors)) for room in rooms}

    def room_of(module: str) -> str:
        parts = module.split(".")
        return parts[1] if len(parts) > 1 else package

    wrong = []
    for name, others in graph.items():
        for other in others:
            ours, theirs = room_of(name), room_of(other)
            if ours != theirs and height[ours] <= height[theirs]:
                wrong.append(f"{name} imports {other}")
    return sorted(wrong)


def code_lines(function: ast.AST) -> int:
    """Count the lines of a function from its `def`, without the docstring."""
    lines = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    ):
        lines -= first.end_lineno - first.lineno + 1
    return lines


def only_assigns(function: ast.AST) -> bool:
    """Return whether a function is an `__init__` that only keeps its arguments."""
    return function.name == "__init__" and all(
        isinstance(node, (ast.Assign, ast.AnnAssign)) or (isinstance(node, ast.Expr) and i == 0)
        for i, node in enumerate(function.body)
    )


def long_functions(source: str, most: int) -> list[str]:
    """Return the functions with more lines of code than `most`."""
    found = [node for node in ast.walk(ast.parse(source)) if isinstance(node, FUNCTIONS)]
    return [f"{f.name}: {code_lines(f)} lines" for f in found if code_lines(f) > most and not only_assigns(f)]


def long_argument_lists(source: str, most: int) -> list[str]:
    """Return the functions that take, and the calls that pass, more arguments than `most`.

    `context.run(function, *arguments)` passes on its arguments, so `function` is not counted there.
    """
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, FUNCTIONS):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            count = len([a for a in arguments if a.arg not in ("self", "cls")])
            if count > most:
                found.append(f"{node.name} takes {count} arguments")
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            count = len(node.args) + len(node.keywords) - name.endswith("context.run")
            if count > most:
                found.append(f"{name} is passed {count} arguments, line {node.lineno}")
    return found


_CDEF = re.compile(r"^(?:@.*\n)*( *)(?:cdef|cpdef|def)\b[^\n=]*?(\w+)\(", re.M)


def long_kernels(source: str, most: int) -> list[str]:
    """Return the functions of a Cython source with more lines than `most`, without docstrings and blank lines."""
    lines = source.splitlines()
    starts = [(source[: m.start(1)].count("\n"), len(m[1]), m[2]) for m in _CDEF.finditer(source)]
    found = []
    for start, indent, name in starts:
        end = start + 1
        opened = lines[start].count("(") - lines[start].count(")")
        while end < len(lines):
            text = lines[end]
            if opened <= 0 and text.strip() and len(text) - len(text.lstrip()) <= indent:
                break
            opened += text.count("(") - text.count(")")
            end += 1
        body = re.sub(r'"""(?:.|\n)*?"""', "", "\n".join(lines[start:end]), count=1)
        count = sum(bool(line.strip()) for line in body.splitlines())
        if count > most:
            found.append(f"{name}: {count} lines")
    return found
