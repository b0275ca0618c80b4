"""Claims to names: what entry points and registrations say before anything is imported."""

import importlib.metadata
import sys
from dataclasses import dataclass, field
from typing import Any, NamedTuple

PYCONVX = "pyconvx"
IN_PROCESS = "this process"


class Row(NamedTuple):
    """One line of `Registry.listing`.

    ``status`` is ``built-in``, ``installed``, ``registered``, ``broken: why`` after a use that failed,
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
    """One claim to a name; ``path`` (module:qualname) distinguishes the claims to the same name."""

    name: str
    package: str
    version: str
    path: str
    entry: importlib.metadata.EntryPoint | None = field(default=None, compare=False)
    target: Any = field(default=None, compare=False)

    def __str__(self) -> str:
        return _source(self.package, self.version, self.path)


def _source(package: str, version: str, path: str) -> str:
    """Return package, version and object as messages write them."""
    return f"{package}{version and ' '}{version} ({path})"


def is_foreign(plugin: object) -> bool:
    """Return whether an object's class belongs to another package than pyconvx."""
    return type(plugin).__module__.partition(".")[0] != PYCONVX


def path_of(plugin: object) -> str:
    """Return ``module:qualname`` of a function or class, or of an instance's class."""
    named: Any = plugin if hasattr(plugin, "__qualname__") else type(plugin)
    return f"{named.__module__}:{named.__qualname__}"


def target_if_imported(claim: Claim) -> Any:
    """Return the object that a claim leads to, or None if its module has not been imported."""
    if claim.entry is None:
        return claim.target
    target: Any = sys.modules.get(claim.entry.module)
    for name in claim.entry.attr.split("."):
        target = getattr(target, name, None)
    return target


def same(one: object, other: object) -> bool:
    """Return whether two objects are equal values of one class, or one and the same object."""
    try:
        return one is other or (type(one) is type(other) and bool(one == other))
    except Exception:
        return False  # a comparison of somebody else's


def claim_of(entry: importlib.metadata.EntryPoint) -> Claim:
    """Return the claim that an entry point makes."""
    package = "an unnamed package" if entry.dist is None else entry.dist.name
    return Claim(entry.name, package, "" if entry.dist is None else entry.dist.version, entry.value, entry)


def foreign_entries(group: str) -> list[importlib.metadata.EntryPoint]:
    """Return a group's entry points in all packages but pyconvx; unreadable metadata is skipped.

    If the path has two versions of a package, the first one counts, as for an import.
    """
    names = set()
    for distribution in importlib.metadata.distributions():
        try:
            if distribution.entry_points.select(group=group):
                names.add(distribution.name)
        except Exception:
            # another package's damaged metadata says nothing about the name that is looked up
            continue
    # sorted, because the order of folders differs between disks
    firsts = [importlib.metadata.distribution(name) for name in sorted(filter(None, names)) if name != PYCONVX]
    return [entry for first in firsts for entry in first.entry_points.select(group=group)]
