"""How an estimator declares its constructor: each parameter once, with its default, its rule and its text.

The class that introduces a parameter declares it as a field; subclasses inherit it, or declare it again to
change it. `estimator` makes the ``__init__`` that scikit-learn wants, which only assigns, and writes the
parameters into the docstring.
"""

import dataclasses
import textwrap
from typing import Any, TypeVar, dataclass_transform

from pyconvx.estimators.constraints import AnyRule

Kind = TypeVar("Kind", bound=type)

_PLACE = "{parameters}"  # in the docstring of an estimator


def parameter(*, default: Any, rule: AnyRule | None, kind: str, text: str, kw_only: bool = True) -> Any:
    """Declare one parameter of a constructor.

    Parameters
    ----------
    default : object
        Immutable.
    rule : Rule, ByAxes or None
        What `fit` accepts; None if it is checked elsewhere.
    kind, text : str
        Type and description, for the docstring.
    kw_only : bool, default=True
        Whether it has to be passed by name.
    """
    metadata = {"rule": rule, "kind": kind, "text": text}
    return dataclasses.field(default=default, kw_only=kw_only, metadata=metadata)


@dataclass_transform(kw_only_default=True, field_specifiers=(parameter,))
def estimator(cls: Kind) -> Kind:
    """Give a class the constructor of its declared and inherited parameters."""
    dataclasses.dataclass(eq=False, repr=False)(cls)
    if cls.__doc__ and _PLACE in cls.__doc__:
        cls.__doc__ = cls.__doc__.replace(_PLACE, _described(cls).strip())
    return cls


def rules_of(kind: Any) -> dict[str, AnyRule]:
    """Return the rules of an estimator's parameters, in the order of the constructor."""
    rules = {field.name: field.metadata["rule"] for field in dataclasses.fields(kind)}
    return {name: rule for name, rule in rules.items() if rule is not None}


def _described(kind: Any) -> str:
    """Return the parameters as numpydoc wants them, indented like a class's docstring."""
    lines = []
    for field in sorted(dataclasses.fields(kind), key=lambda field: bool(field.kw_only)):
        default = repr(field.default).replace("'", '"')
        lines.append(f"{field.name} : {field.metadata['kind']}, default={default}")
        lines.append(textwrap.indent("\n".join(textwrap.wrap(field.metadata["text"], 105)), "    "))
    return textwrap.indent("\n".join(lines), "    ")
