"""Who claims which name of one family, and what has become of each claim. Nothing is imported here.

Built-ins are read from pyconvx's own metadata, installed packages from theirs; registrations belong to this
process.
"""

import importlib.metadata
import threading

from pyconvx.exceptions import PluginError
from pyconvx.registry.claims import PYCONVX, Claim, Row, claim_of, foreign_entries
from pyconvx.registry.families import kind_of

_TAKEN = "the name is a built-in of pyconvx"


class ClaimTable:
    """The claims to the names of one family; several threads may use it at once.

    Parameters
    ----------
    group : str
        The entry-point group.
    """

    def __init__(self, group: str) -> None:
        self.group = group
        # The lock guards the tables alone. A plugin is imported without it: its module may register
        # names while another thread, which holds the module's import lock, waits for this one.
        self._lock = threading.Lock()
        self._builtins: dict[str, Claim] | None = None
        self._scanned = False
        self._installed: dict[str, list[Claim]] = {}
        self._registered: dict[str, dict[str, Claim]] = {}
        self._refused: dict[Claim, str] = {}
        self._broken: dict[Claim, str] = {}

    def builtins(self) -> dict[str, Claim]:
        """Return the built-in names, read once from pyconvx's own metadata."""
        if self._builtins is None:
            try:
                entries = importlib.metadata.distribution(PYCONVX).entry_points
            except importlib.metadata.PackageNotFoundError as error:
                raise PluginError(
                    f"pyconvx's own metadata, which names the built-in {kind_of(self.group)} entries, is missing: "
                    "reinstall pyconvx"
                ) from error
            self._builtins = {e.name: claim_of(e) for e in entries.select(group=self.group)}
        return self._builtins

    def foreign(self, name: str) -> list[Claim]:
        """Return the claims to a name that is not built in, one per path."""
        with self._lock:
            claims = self._claims(name)
        if not (claims and self._scanned):
            # the first time for a registered name too: a package may claim it as well
            self._scan()
            with self._lock:
                claims = self._claims(name)
        return claims

    def unique(self) -> list[Claim]:
        """Return the claims that a name leads to: built-ins, and others that nobody else claims."""
        builtins = self.builtins()
        self._scan()
        with self._lock:
            foreign = [self._claims(name) for name in {*self._installed, *self._registered}]
        return [*builtins.values(), *(claims[0] for claims in foreign if len(claims) == 1)]

    def rows(self) -> tuple[Row, ...]:
        """Return a line for every claim, sorted by name; refused and broken claims included."""
        builtins = self.builtins()
        self._scan()
        with self._lock:
            claims = [*builtins.values(), *self._refused]
            for name in {*self._installed, *self._registered}:
                claims += self._claims(name)
            return tuple(sorted(self._row(claim) for claim in claims))

    def row(self, claim: Claim) -> Row:
        """Return the line of one claim."""
        with self._lock:
            return self._row(claim)

    def register(self, claim: Claim) -> None:
        """Add a claim of this process; one with the same path replaces the earlier one."""
        with self._lock:
            self._registered.setdefault(claim.name, {})[claim.path] = claim

    def refuse(self, claim: Claim) -> None:
        """Note a claim to a built-in's name."""
        with self._lock:
            self._refused[claim] = _TAKEN

    def works(self, claim: Claim) -> None:
        """Note that a plugin was used with success."""
        with self._lock:
            self._broken.pop(claim, None)

    def fails(self, claim: Claim, cause: str) -> None:
        """Note why an installed plugin cannot be used."""
        with self._lock:
            self._broken[claim] = cause

    def _claims(self, name: str) -> list[Claim]:
        """Return the claims to a name that is not built in; call with the lock held."""
        installed = {claim.path: claim for claim in self._installed.get(name, ())}
        return list((installed | self._registered.get(name, {})).values())

    def _row(self, claim: Claim) -> Row:
        """Return the line of one claim; call with the lock held."""
        return Row(claim.name, claim.package, claim.version, claim.path, self._status(claim))

    def _status(self, claim: Claim) -> str:
        """Return the last column of a claim's line; call with the lock held."""
        if claim in self._refused:
            return f"refused: {self._refused[claim]}"
        if claim in self._broken:
            return f"broken: {self._broken[claim]}"
        if claim.package == PYCONVX:
            return "built-in"
        others = [str(other) for other in self._claims(claim.name) if other != claim]
        if others:
            return f"duplicate: also claimed by {', '.join(others)}"
        return "registered" if claim.entry is None else "installed"

    def _scan(self) -> None:
        """Read the other packages' entry points of this group."""
        builtins = self.builtins()
        installed: dict[str, list[Claim]] = {}
        refused: dict[Claim, str] = {}
        for entry in foreign_entries(self.group):
            claim = claim_of(entry)
            if entry.name in builtins:
                refused[claim] = _TAKEN
            else:
                installed.setdefault(entry.name, []).append(claim)
        with self._lock:
            self._scanned = True
            self._installed = installed
            self._refused |= refused
