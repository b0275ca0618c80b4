"""The one table of plugin families.

Whatever goes through all families reads it: look-up and listing (`Registry`, ``show_versions``), model files,
the checks of `pyconvx.testing`. A family's modules are named, not imported: they stand above this one.
"""

import importlib
from dataclasses import dataclass
from typing import Any

from pyconvx.exceptions import PluginError

__all__ = ["FAMILIES", "Family", "registry_of"]


@dataclass(frozen=True)
class Family:
    """One kind of plugin.

    Parameters
    ----------
    name : str
        Its package below pyconvx, which has the contract and the ``registry``.
    kind : str
        What one plugin of it is called.
    """

    name: str
    kind: str

    @property
    def group(self) -> str:
        """The entry-point group."""
        return f"pyconvx.{self.name}"

    @property
    def registry(self) -> Any:
        """The family's `Registry`; its ``guard`` is the adapter around foreign plugins."""
        return importlib.import_module(self.group).registry

    @property
    def check(self) -> Any:
        """The function of `pyconvx.testing` that checks a plugin of this family."""
        return getattr(importlib.import_module("pyconvx.testing"), f"check_{self.kind}")


FAMILIES = {
    family.name: family
    for family in (
        Family("activations", "activation"),
        Family("initializers", "initializer"),
        Family("layers", "layer"),
        Family("losses", "loss"),
        Family("schedules", "schedule"),
        Family("solvers", "solver"),
    )
}


def registry_of(group: str) -> Any:
    """Return the registry of an entry-point group; PluginError if there is no such family."""
    for family in FAMILIES.values():
        if family.group == group:
            return family.registry
    raise PluginError(f"no family of plugins has the group {group!r}")
