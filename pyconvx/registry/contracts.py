"""Checks that a plugin has the methods of its family's contract, by signature."""

import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["require"]


def require(plugin: object, prototype: Callable[..., Any]) -> None:
    """Raise unless an object has a method that can be called as a prototype is.

    Parameters
    ----------
    plugin : object
        The object under test.
    prototype : function
        A method of the family's Protocol class; its keyword-only parameters are passed by name.

    Raises
    ------
    TypeError
        With both signatures.
    """
    wanted = _plain(inspect.signature(prototype), skip=1)
    name = prototype.__name__
    # the signature of a function's own __call__ says nothing
    method = plugin if name == "__call__" else getattr(plugin, name, None)
    if not callable(method):
        raise TypeError(f"{plugin!r} has no method {name}{wanted}")
    try:
        found = inspect.signature(method)
    except ValueError:
        return  # compiled without a signature: the first call will tell
    keywords = [p.name for p in wanted.parameters.values() if p.kind is p.KEYWORD_ONLY]
    try:
        found.bind(*[None] * (len(wanted.parameters) - len(keywords)), **dict.fromkeys(keywords))
    except TypeError as error:
        raise TypeError(f"{plugin!r} has {name}{_plain(found)}, expected {name}{wanted}: {error}") from None


def _plain(signature: inspect.Signature, skip: int = 0) -> inspect.Signature:
    """A signature without annotations and without its first parameters."""
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    return inspect.Signature(bare[skip:])
