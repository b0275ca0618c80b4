"""Plugins: the families, look-up by name, what a plugin must be callable as, and the guard around foreign code.

families   the one table of families
lookup     Registry: the names of one family
claims     which package offers which name, and what an error says of it
contracts  whether an object can be called as its family's contract says
guard      calls of other packages' objects
"""

from pyconvx.registry.lookup import Registry

__all__ = ["Registry"]
