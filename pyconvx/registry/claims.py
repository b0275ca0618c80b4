"""Claims to names: what entry points and registrations say, before anything is imported."""

import importlib.metadata
import sys
from dataclasses import dataclass, field
from typing import Any, NamedTuple

OWN = "pyconvx"
IN_PROCESS = "this process"


class Row(NamedTuple):
    """One line of `Registry.listing`.

    ``status`` is ``built-in``, ``installed``, ``registered``, ``broken: why`` after a failed use,
    ``duplicate: who else`` or ``refused: why``.
    """

    name: str
    package: str
    version: str
    path: str
    status: str

    @property
    def source(self) -> str:
        """Package, version and object, as messages write them."""
        return _source(self.package, self.version, self.path)


@dataclass(frozen=True)
class Claim:
    """Somebody's claim to a name; ``path`` (module:qualname) tells claims of one name apart."""

    name: str
    package: str
    version: str
    path: str
    entry: importlib.metadata.EntryPoint | None = field(default=None, compare=False)
    target: Any = field(default=None, compare=False)

    def __str__(self) -> str:
        return _source(self.package, self.version, self.path)


def _source(package: str, version: str, path: str) -> str:
    return f"{package}{version and ' '}{version} ({path})"


def is_foreign(plugin: object) -> bool:
    """Whether an object's class belongs to another package."""
    return type(plugin).__module__.partition(".")[0] != OWN


def path_of(plugin: object) -> str:
    """``module:qualname`` of a function or class, or of an instance's class."""
    named: Any = plugin if hasattr(plugin, "__qualname__") else type(plugin)
    return f"{named.__module__}:{named.__qualname__}"


def target_if_imported(claim: Claim) -> Any:
    """What a claim leads to, None where its module has not been imported."""
    if claim.entry is None:
        return claim.target
    found: Any = sys.modules.get(claim.entry.module)
    for name in claim.entry.attr.split("."):
        found = getattr(found, name, None)
    return found


def same(one: object, other: object) -> bool:
    """Whether two objects stand for the same: values compare, functions are themselves."""
    try:
        return one is other or (type(one) is type(other) and bool(one == other))
    except Exception:
        return False  # somebody's own comparison


def claim_of(entry: importlib.metadata.EntryPoint) -> Claim:
    package = "an unnamed package" if entry.dist is None else entry.dist.name
    return Claim(entry.name, package, "" if entry.dist is None else entry.dist.version, entry.value, entry)


def foreign_entries(group: str) -> list[importlib.metadata.EntryPoint]:
    """Entry points of a group in all packages but ours; unreadable metadata is passed over.

    Of two versions of a package on the path only the first counts, as for an import.
    """
    names = set()
    for distribution in importlib.metadata.distributions():
        try:
            if distribution.entry_points.select(group=group):
                names.add(distribution.name)
        except Exception:
            # somebody else's damaged metadata says nothing about the name that is looked up
            continue
    # sorted: the order of folders on a disk is anybody's
    firsts = [importlib.metadata.distribution(name) for name in sorted(filter(None, names)) if name != OWN]
    return [entry for first in firsts for entry in first.entry_points.select(group=group)]
