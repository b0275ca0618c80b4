"""Names for plugins: built-ins, other packages' entry points, registrations of this process.

A `Registry` holds one family (activations, solvers, ...). It imports a plugin when its name is first used and
never earlier, so a broken package breaks its own names only. Nothing shadows a built-in. What a plugin must
look like is the family's matter, which passes it in as ``verify``; the rules are in
docs/plugins/writing-plugins.md.
"""

import difflib
from collections.abc import Callable
from typing import Any, Generic, NoReturn, TypeVar, cast, overload

from pyconvx.exceptions import PluginError
from pyconvx.registry.claims import IN_PROCESS, PYCONVX, Claim, Row, is_foreign, path_of, same, target_if_imported
from pyconvx.registry.families import kind_of, registry_of
from pyconvx.registry.table import ClaimTable

__all__ = ["Registry", "Row"]

_LONGEST_SHOWN = 100  # characters of an unknown name

T = TypeVar("T")
P = TypeVar("P")


class Registry(Generic[T]):
    """The names of one family of plugins.

    Parameters
    ----------
    group : str
        The entry-point group, such as ``"pyconvx.activations"``.
    verify : callable
        ``verify(plugin)`` raises TypeError or ValueError if the plugin breaks its contract.
    guard : callable, optional
        ``guard(registry, plugin)`` returns the family's adapter, a `pyconvx.registry.guard.Guard` with
        the methods of the contract; `resolve` puts it around the plugins of other packages.
    instantiate : bool, default=True
        Whether a class stands for its instances: each look-up then makes one, without
        arguments, so that no two users share a mutable object.

    Examples
    --------
    >>> from pyconvx.initializers import registry
    >>> "he_normal" in registry.names()
    True
    """

    def __init__(
        self,
        group: str,
        verify: Callable[[Any], None],
        guard: "Callable[[Registry[Any], Any], Any] | None" = None,
        *,
        instantiate: bool = True,
    ) -> None:
        self.group, self.guard = group, guard
        self._verify, self._instantiate = verify, instantiate
        self._table = ClaimTable(group)
        # single operations on them are safe in several threads
        self._loaded: dict[Claim, Any] = {}
        self._verified: set[Claim] = set()

    @property
    def kind(self) -> str:
        """What one plugin is called in messages: activation, loss, ..."""
        return kind_of(self.group)

    def __repr__(self) -> str:
        return f"Registry({self.group!r})"

    def __reduce__(self) -> Any:
        """Pickle by the family's name: an adapter travels to other processes, its registry is there already."""
        if registry_of(self.group) is not self:
            raise TypeError(f"cannot pickle {self!r}, which is not the family's own")
        return registry_of, (self.group,)

    @overload
    def register(self, name: str) -> Callable[[P], P]: ...

    @overload
    def register(self, name: str, plugin: P) -> P: ...

    def register(self, name: str, plugin: Any = None) -> Any:
        """Give a plugin a name in this process, not in its workers; as a call or a decorator.

        Parameters
        ----------
        name : str
            The name, matched exactly.
        plugin : object, optional
            The plugin. Without it a decorator is returned.

        Returns
        -------
        The plugin, unchanged, or the decorator.

        Raises
        ------
        TypeError
            If the name is not a string.
        PluginError
            If the name is a built-in's, or the plugin breaks the contract. A second claim to
            a name is an error when it is used, but the same module and qualified name replaces.
        """
        self._check_name(name)
        if plugin is None:
            return lambda decorated: self.register(name, decorated)
        claim = Claim(name, IN_PROCESS, "", path_of(plugin), target=plugin)
        if name in self._table.builtins():
            self._table.refuse(claim)
            raise PluginError(
                f"{self.kind} {name!r} is built into pyconvx: register {claim.path} under another name"
            )
        self._verified.discard(claim)  # another object may have had this path
        self._instance(claim, plugin)
        self._table.register(claim)
        return plugin

    def get(self, name: str) -> T:
        """Look a name up.

        Parameters
        ----------
        name : str
            A built-in's, an installed package's or a registered name.

        Returns
        -------
        The plugin, which keeps its contract, without a guard; a new instance if a class was registered.

        Raises
        ------
        TypeError
            If the name is not a string.
        PluginError
            If the name is unknown or claimed twice, or its plugin fails to load or to verify.
        """
        claim = self._claim(name)
        target = claim.target if claim.entry is None else self._load(claim)
        return self._instance(claim, target)

    def verified(self, value: object) -> T:
        """Return the object that a parameter means: a name is looked up, an object verified.

        Parameters
        ----------
        value : str, object or class
            A name, a plugin, or the class of one that needs no arguments.

        Returns
        -------
        The plugin as its author wrote it, without a guard.

        Raises
        ------
        PluginError
            As `get` does.
        TypeError, ValueError
            From the family's contract, for an object that breaks it.
        """
        if isinstance(value, str):
            return self.get(value)
        try:
            plugin = value() if self._instantiate and isinstance(value, type) else value
            self._verify(plugin)
        except (TypeError, ValueError):
            raise
        except Exception as error:
            cause = f"{type(error).__name__}: {error}"
            raise PluginError(f"{self.kind} {path_of(value)} breaks its contract: {cause}") from error
        return cast(T, plugin)

    def resolve(self, value: object) -> T:
        """Return the plugin that a parameter means, ready for use: another package's under guard.

        Parameters
        ----------
        value : str, object or class
            As for `verified`.

        Returns
        -------
        A built-in as it is; any other plugin in the family's adapter, whose ``plugin`` is the object.

        Raises
        ------
        PluginError, TypeError, ValueError
            As `verified` does.
        """
        plugin = self.verified(value)
        if self.guard is None or not is_foreign(plugin):
            return plugin
        return cast(T, self.guard(self, plugin))

    def claimed(self, name: str) -> Row:
        """Return who provides a name, its line of the listing; PluginError as `get`. Imports nothing."""
        return self._table.row(self._claim(name))

    def identify(self, plugin: object) -> tuple[Row | None, bool]:
        """Find the name under which a look-up returns an object, or its class; imports nothing.

        Returns
        -------
        row : Row or None
            The line of the listing; None if no name leads to it.
        whole : bool
            Whether the name alone gives the object. Else the name gives its class.
        """
        targets = [(claim, target_if_imported(claim)) for claim in self._table.unique()]
        for claim, target in targets:
            if target is not None and not isinstance(target, type) and same(target, plugin):
                return self._table.row(claim), True
        for claim, target in targets:
            if target is type(plugin):
                return self._table.row(claim), False
        return None, False

    def describe(self, plugin: object) -> str:
        """Return what messages call an object: its registered name, else its class."""
        row, _ = self.identify(plugin)
        if row is None:
            return f"{self.kind} {path_of(plugin)}"
        return f"{self.kind} {row.name!r} from {row.source}"

    def names(self) -> tuple[str, ...]:
        """Return all names that a look-up can find, sorted; reads every installed package's metadata."""
        return tuple(sorted(claim.name for claim in self._table.unique()))

    def listing(self) -> tuple[Row, ...]:
        """Return who claims which name, sorted by name; refused and broken claims included."""
        return self._table.rows()

    def _check_name(self, name: object) -> None:
        """Raise TypeError unless the name is a string."""
        if not isinstance(name, str):
            raise TypeError(f"{self.kind}: a name must be a str, got {name!r}")

    def _claim(self, name: str) -> Claim:
        """Return the one claim to a name; PluginError if there is none, or more than one."""
        self._check_name(name)
        builtin = self._table.builtins().get(name)
        claims = [builtin] if builtin else self._table.foreign(name)
        if not claims:
            self._unknown(name)
        if len(claims) > 1:
            raise PluginError(
                f"{self.kind} {name!r} is claimed by {' and by '.join(map(str, claims))}: "
                "uninstall or rename one, or pass the object itself"
            )
        return claims[0]

    def _load(self, claim: Claim) -> Any:
        """Import what an entry point names, once."""
        if claim not in self._loaded:
            assert claim.entry is not None
            try:
                self._loaded[claim] = claim.entry.load()
            except (Exception, SystemExit) as error:
                self._fail(claim, "failed to load", error)
        return self._loaded[claim]

    def _instance(self, claim: Claim, target: Any) -> T:
        """Return the plugin, instantiated if the family says so, and verified the first time."""
        try:
            plugin = target() if self._instantiate and isinstance(target, type) else target
            if claim not in self._verified:
                self._verify(plugin)
        except (Exception, SystemExit) as error:
            self._fail(claim, "breaks its contract", error)
        self._verified.add(claim)
        self._table.works(claim)
        return cast(T, plugin)

    def _fail(self, claim: Claim, what: str, error: BaseException) -> NoReturn:
        """Raise, and remember for the listing, that a plugin does not work."""
        cause = f"{type(error).__name__}: {error}"
        if claim.entry is not None:
            self._table.fails(claim, cause)
        remedy = ". Reinstall pyconvx" if claim.package == PYCONVX else ""
        raise PluginError(f"{self.kind} {claim.name!r} from {claim} {what}: {cause}{remedy}") from error

    def _unknown(self, name: str) -> NoReturn:
        """Raise for a name that nobody claims, with the known names and the way out."""
        known = self.names()
        name = name[:_LONGEST_SHOWN]  # a file may name anything, and difflib takes its time
        close = difflib.get_close_matches(name, known)
        hint = f"did you mean {' or '.join(map(repr, close))}? " if close else ""
        raise PluginError(
            f"unknown {self.kind} {name!r}: {hint}Group {self.group!r} has {', '.join(known) or 'no names'}. "
            "A name registered in-process does not exist in worker processes: "
            f"install a package that provides it, or pass the {self.kind} object itself"
        )
