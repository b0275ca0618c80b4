"""Names for plugins: built-ins, other packages' entry points, registrations of this process.

A `Registry` holds one family (activations, solvers, ...). It imports a plugin when its name is
first used and never earlier, so a broken package breaks its own names only. Nothing shadows a
built-in. The rules stand in docs/plugins.md; what a plugin must look like is the family's matter,
which passes it in as ``verify``.
"""

import difflib
import importlib.metadata
import threading
from collections.abc import Callable
from typing import Any, Generic, NoReturn, TypeVar, cast, overload

from pyconvx.exceptions import PluginError
from pyconvx.registry.claims import (
    IN_PROCESS,
    OWN,
    Claim,
    Row,
    claim_of,
    foreign_entries,
    is_foreign,
    path_of,
    same,
    target_if_imported,
)
from pyconvx.registry.families import registry_of

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
        ``verify(plugin)`` raises TypeError or ValueError where the plugin breaks its contract.
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
        self._verify = verify
        self._instantiate = instantiate
        # It guards the tables alone. A plugin is imported without it: its module may register
        # names while another thread, which holds the module's import lock, waits for this one.
        self._lock = threading.Lock()
        self._own: dict[str, Claim] | None = None
        self._scanned = False
        self._installed: dict[str, list[Claim]] = {}
        self._registered: dict[str, dict[str, Claim]] = {}
        self._refused: dict[Claim, str] = {}
        self._loaded: dict[Claim, Any] = {}
        self._verified: set[Claim] = set()
        self._broken: dict[Claim, str] = {}

    @property
    def kind(self) -> str:
        """What one plugin is called in messages: activation, loss, ..."""
        plural = self.group.rpartition(".")[2]
        return "loss" if plural == "losses" else plural.removesuffix("s")

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
            The plugin; left out, a decorator is returned.

        Returns
        -------
        The plugin, unchanged, or the decorator.

        Raises
        ------
        TypeError
            When the name is not a string.
        PluginError
            When the name is a built-in's, or the plugin breaks the contract. A second claim to
            a name is an error when it is used, but the same module and qualified name replaces.
        """
        self._check_name(name)
        if plugin is None:
            return lambda found: self.register(name, found)
        claim = Claim(name, IN_PROCESS, "", path_of(plugin), target=plugin)
        if name in self._builtins():
            with self._lock:
                self._refused[claim] = "the name is a built-in of pyconvx"
            raise PluginError(
                f"{self.kind} {name!r} is built into pyconvx: register {claim.path} under another name"
            )
        with self._lock:
            self._verified.discard(claim)  # another object may have had this path
        self._instance(claim, plugin)
        with self._lock:
            self._registered.setdefault(name, {})[claim.path] = claim
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
            When the name is not a string.
        PluginError
            When the name is unknown or claimed twice, or its plugin fails to load or to verify.
        """
        self._check_name(name)
        claim = self._builtins().get(name) or self._foreign(name)
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
        """Return the plugin that a parameter means, ready for use: another package's one under guard.

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
        """Who provides a name: its line of the listing; PluginError as `get`. Imports nothing."""
        self._check_name(name)
        claim = self._builtins().get(name) or self._foreign(name)
        with self._lock:
            return self._row(claim)

    def identify(self, plugin: object) -> tuple[Row | None, bool]:
        """The name under which a look-up finds an object, or its class; imports nothing.

        Returns
        -------
        row : Row or None
            The line of the listing; None where no name leads to it.
        whole : bool
            Whether the name alone gives the object. Else the name gives its class.
        """
        own = self._builtins()
        self._scan()
        with self._lock:
            foreign = [self._claims(name) for name in {*self._installed, *self._registered}]
        claims = [*own.values(), *(found[0] for found in foreign if len(found) == 1)]
        targets = [(claim, target_if_imported(claim)) for claim in claims]
        for claim, target in targets:
            if target is not None and not isinstance(target, type) and same(target, plugin):
                return self._row(claim), True
        for claim, target in targets:
            if target is type(plugin):
                return self._row(claim), False
        return None, False

    def describe(self, plugin: object) -> str:
        """What messages call an object: by its registered name, else by its class."""
        row, _ = self.identify(plugin)
        if row is None:
            return f"{self.kind} {path_of(plugin)}"
        return f"{self.kind} {row.name!r} from {row.source}"

    def names(self) -> tuple[str, ...]:
        """All names that a look-up can find, sorted; reads every installed package's metadata."""
        own = self._builtins()
        self._scan()
        with self._lock:
            known = {*own, *self._installed, *self._registered}
            return tuple(sorted(name for name in known if name in own or len(self._claims(name)) == 1))

    def listing(self) -> tuple[Row, ...]:
        """Who claims which name, sorted by name; refused and broken claims included."""
        own = self._builtins()
        self._scan()
        with self._lock:
            claims = [*own.values(), *self._refused]
            for name in {*self._installed, *self._registered}:
                claims += self._claims(name)
            return tuple(sorted(self._row(claim) for claim in claims))

    def _row(self, claim: Claim) -> Row:
        """A claim's line; call with the lock held."""
        return Row(claim.name, claim.package, claim.version, claim.path, self._status(claim))

    def _status(self, claim: Claim) -> str:
        """The last column of a claim's line; call with the lock held."""
        if claim in self._refused:
            return f"refused: {self._refused[claim]}"
        if claim in self._broken:
            return f"broken: {self._broken[claim]}"
        if claim.package == OWN:
            return "built-in"
        others = [str(other) for other in self._claims(claim.name) if other != claim]
        if others:
            return f"duplicate: also claimed by {', '.join(others)}"
        return "registered" if claim.entry is None else "installed"

    def _check_name(self, name: object) -> None:
        if not isinstance(name, str):
            raise TypeError(f"{self.kind}: a name must be a str, got {name!r}")

    def _builtins(self) -> dict[str, Claim]:
        """Our own entry points, read once from our own metadata."""
        if self._own is None:
            try:
                entries = importlib.metadata.distribution(OWN).entry_points
            except importlib.metadata.PackageNotFoundError as error:
                raise PluginError(
                    f"pyconvx's own metadata, which names the built-in {self.kind} entries, is missing: "
                    "reinstall pyconvx"
                ) from error
            self._own = {e.name: claim_of(e) for e in entries.select(group=self.group)}
        return self._own

    def _foreign(self, name: str) -> Claim:
        """The one claim to a name that is not built in."""
        with self._lock:
            claims = self._claims(name)
        if not (claims and self._scanned):
            # the first time for a registered name too: a package may claim it as well
            self._scan()
            with self._lock:
                claims = self._claims(name)
        if not claims:
            self._unknown(name)
        if len(claims) > 1:
            raise PluginError(
                f"{self.kind} {name!r} is claimed by {' and by '.join(map(str, claims))}: "
                "uninstall or rename one, or pass the object itself"
            )
        return claims[0]

    def _claims(self, name: str) -> list[Claim]:
        """Claims to a name that is not built in, one per path; call with the lock held."""
        found = {claim.path: claim for claim in self._installed.get(name, ())}
        return list((found | self._registered.get(name, {})).values())

    def _scan(self) -> None:
        """Read the other packages' entry points of this group."""
        own = self._builtins()
        installed: dict[str, list[Claim]] = {}
        refused: dict[Claim, str] = {}
        for entry in foreign_entries(self.group):
            claim = claim_of(entry)
            if entry.name in own:
                refused[claim] = "the name is a built-in of pyconvx"
            else:
                installed.setdefault(entry.name, []).append(claim)
        with self._lock:
            self._scanned = True
            self._installed = installed
            self._refused |= refused

    def _load(self, claim: Claim) -> Any:
        """Import what an entry point names, once."""
        if claim not in self._loaded:
            assert claim.entry is not None
            try:
                target = claim.entry.load()
            except (Exception, SystemExit) as error:
                self._fail(claim, "failed to load", error)
            with self._lock:
                self._loaded[claim] = target
        return self._loaded[claim]

    def _instance(self, claim: Claim, target: Any) -> T:
        """The plugin itself, instantiated where the family says so, and verified the first time."""
        try:
            plugin = target() if self._instantiate and isinstance(target, type) else target
            if claim not in self._verified:
                self._verify(plugin)
        except (Exception, SystemExit) as error:
            self._fail(claim, "breaks its contract", error)
        with self._lock:
            self._verified.add(claim)
            self._broken.pop(claim, None)
        return cast(T, plugin)

    def _fail(self, claim: Claim, what: str, error: BaseException) -> NoReturn:
        """Raise, and remember for the listing, that a plugin does not work."""
        cause = f"{type(error).__name__}: {error}"
        if claim.entry is not None:
            with self._lock:
                self._broken[claim] = cause
        remedy = ". Reinstall pyconvx" if claim.package == OWN else ""
        raise PluginError(f"{self.kind} {claim.name!r} from {claim} {what}: {cause}{remedy}") from error

    def _unknown(self, name: str) -> NoReturn:
        """Raise for a name that nobody claims, with what there is and the way out."""
        known = self.names()
        name = name[:_LONGEST_SHOWN]  # a file may name anything, and difflib takes its time
        close = difflib.get_close_matches(name, known)
        hint = f"did you mean {' or '.join(map(repr, close))}? " if close else ""
        raise PluginError(
            f"unknown {self.kind} {name!r}: {hint}Group {self.group!r} has {', '.join(known) or 'no names'}. "
            "A name registered in-process does not exist in worker processes: "
            f"install a package that provides it, or pass the {self.kind} object itself"
        )
