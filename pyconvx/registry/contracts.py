"""Checks that a plugin has the methods of its family's contract, by signature."""

import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["require", "written"]


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
    name, wanted = prototype.__name__, written(prototype)
    # the __call__ of a function has no signature of its own
    method = plugin if name == "__call__" else getattr(plugin, name, None)
    if not callable(method):
        raise TypeError(f"{plugin!r} has no method {wanted}")
    try:
        signature = inspect.signature(method)
    except ValueError:
        return  # a compiled function may have no signature: the first call will show
    passed = list(inspect.signature(prototype).parameters.values())[1:]
    keywords = [p.name for p in passed if p.kind is p.KEYWORD_ONLY]
    try:
        signature.bind(*[None] * (len(passed) - len(keywords)), **dict.fromkeys(keywords))
    except TypeError as error:
        raise TypeError(f"{plugin!r} has {name}{_plain(signature)}, expected {wanted}: {error}") from None


def written(prototype: Callable[..., Any]) -> str:
    """Return a prototype as messages show it: its name and its arguments without self."""
    return f"{prototype.__name__}{_plain(inspect.signature(prototype), skip=1)}"


def _plain(signature: inspect.Signature, skip: int = 0) -> inspect.Signature:
    """Return a signature without annotations, without the slash and without its first parameters."""
    bare = [p.replace(annotation=p.empty, kind=_shown(p.kind)) for p in signature.parameters.values()]
    return inspect.Signature(bare[skip:])


def _shown(kind: Any) -> Any:
    """Return how a message shows a parameter: one that can only be passed by position like any other."""
    return inspect.Parameter.POSITIONAL_OR_KEYWORD if kind is inspect.Parameter.POSITIONAL_ONLY else kind
