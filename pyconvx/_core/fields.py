"""The types of a dataclass's fields, also if a module postpones the evaluation of its annotations."""

import dataclasses
import sys
import typing
import weakref
from types import SimpleNamespace
from typing import Any

__all__ = ["field_types"]

_KNOWN: weakref.WeakKeyDictionary[type, dict[str, Any]] = weakref.WeakKeyDictionary()


def field_types(kind: type) -> dict[str, Any]:
    """Return the type that each field of a dataclass is annotated with.

    Annotations are strings in a module with ``from __future__ import annotations``, and wherever somebody
    quotes them. Each is evaluated in the module of the class that declares the field.

    Parameters
    ----------
    kind : type
        A dataclass.

    Returns
    -------
    dict
        By name, in the order of the fields. An annotation that cannot be evaluated, for instance because
        its name is imported for type checkers only, remains as it is.
    """
    types = _KNOWN.get(kind)
    if types is None:
        types = _KNOWN[kind] = {field.name: _evaluated(kind, field) for field in dataclasses.fields(kind)}
    return types


def _evaluated(kind: type, field: dataclasses.Field[Any]) -> Any:
    """Evaluate one annotation, or return it unchanged if that fails."""
    # a subclass inherits the same Field object: the last class that has it declares it
    tables = [(base, vars(base).get("__dataclass_fields__", {})) for base in kind.__mro__]
    owner, fields = [(base, table) for base, table in tables if table.get(field.name) is field][-1]
    module = vars(sys.modules[owner.__module__]) if owner.__module__ in sys.modules else {}
    # without the defaults of fields: one of them may be called `float`
    body = {name: value for name, value in vars(owner).items() if name not in fields}
    annotated = SimpleNamespace(__annotations__={field.name: field.type})
    try:
        return typing.get_type_hints(annotated, module | body, include_extras=True)[field.name]
    except Exception:
        return field.type
