"""Plugins: the families, look-up by name, what a plugin must be callable as, and the guard around foreign code.

families   the one table of families
lookup     Registry: look-up in one family
table      who claims which name, and what has become of the claim
claims     one claim: package, version and object, and how messages write them
contracts  whether an object can be called as its family's contract says
guard      Guard: base of the adapters around other packages' objects
"""

from pyconvx.registry.lookup import Registry

__all__ = ["Registry"]
