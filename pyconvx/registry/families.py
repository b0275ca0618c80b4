"""The one table of plugin families.

Whatever goes through all families reads it: the listing of ``show_versions``, model files, the estimators, the
checks of `pyconvx.testing`. A family's modules are named here, not imported: they are on higher floors.
"""

import importlib
from dataclasses import dataclass
from typing import Any

from pyconvx.exceptions import PluginError

__all__ = ["FAMILIES", "Family", "kind_of", "registry_of"]


@dataclass(frozen=True)
class Family:
    """One kind of plugin.

    Parameters
    ----------
    name : str
        Its package below pyconvx, which has the contract and the ``registry``.
    parameter : str
        The parameter of the estimators that takes plugins of this family, or names of them.
    one : bool
        Whether the parameter takes one plugin, or its name, instead of a sequence of them.
    """

    name: str
    parameter: str
    one: bool = True

    @property
    def kind(self) -> str:
        """What one plugin of the family is called in messages."""
        return kind_of(self.group)

    @property
    def group(self) -> str:
        """The entry-point group."""
        return f"pyconvx.{self.name}"

    @property
    def registry(self) -> Any:
        """The family's `Registry`; its ``guard`` is the adapter around foreign plugins."""
        return importlib.import_module(self.group).registry

    @property
    def check_name(self) -> str:
        """Name of the function of `pyconvx.testing` that checks a plugin of this family."""
        return f"check_{self.kind}"


FAMILIES = {
    family.name: family
    for family in (
        Family("activations", "activation"),
        Family("architectures", "layers"),
        Family("initializers", "initializer"),
        Family("layers", "layers", one=False),
        Family("losses", "loss"),
        Family("schedules", "learning_rate"),
        Family("solvers", "solver"),
    )
}


def kind_of(group: str) -> str:
    """Return what one plugin of a group is called in messages: activation, loss, ..."""
    plural = group.rpartition(".")[2]
    return "loss" if plural == "losses" else plural.removesuffix("s")


def registry_of(group: str) -> Any:
    """Return the registry of an entry-point group; PluginError if there is no such family."""
    for family in FAMILIES.values():
        if family.group == group:
            return family.registry
    raise PluginError(f"no family of plugins has the group {group!r}")
