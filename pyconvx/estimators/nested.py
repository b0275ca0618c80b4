"""Parameters of parameters, ``loss__delta``: scikit-learn has them for estimators, this for dataclasses."""

import dataclasses
from typing import Any, Self

from sklearn.base import BaseEstimator


class NestedParameters(BaseEstimator):
    """An estimator whose parameters may be values with fields: losses, initializers, activations, a checkpoint."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name.

        Parameters
        ----------
        deep : bool, default=True
            Whether to add the parameters of parameters, as ``solver__momentum`` or ``loss__delta``.
        """
        parameters: dict[str, Any] = super().get_params(deep=deep)
        if deep:
            for name, value in list(parameters.items()):
                if _is_value(value):
                    parameters |= {f"{name}__{field}": getattr(value, field) for field in _fields(value)}
        return parameters

    def set_params(self, **params: Any) -> Self:
        """Set parameters, and parameters of parameters.

        Parameters
        ----------
        **params
            A value with fields, such as a loss, is replaced by one with the new fields.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For a name that does not exist, or one below a parameter that is itself a name.
        """
        super().set_params(**{name: value for name, value in params.items() if "__" not in name})
        inner: dict[str, dict[str, Any]] = {}
        rest = {}
        for name, value in params.items():
            outer, separator, field = name.partition("__")
            held = getattr(self, outer, None)
            if separator and isinstance(held, str):
                raise ValueError(
                    f"Invalid parameter {name!r}: {outer}={held!r} is a name, pass an object, which has parameters"
                )
            if separator and _is_value(held):
                inner.setdefault(outer, {})[field] = value
            elif separator:
                rest[name] = value
        for outer, fields in inner.items():
            setattr(self, outer, _changed(getattr(self, outer), fields))
        super().set_params(**rest)
        return self


def _is_value(value: Any) -> bool:
    """Return whether a parameter is a dataclass that scikit-learn does not look into."""
    return dataclasses.is_dataclass(value) and not isinstance(value, type) and not hasattr(value, "get_params")


def _fields(value: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(value) if field.init]


def _changed(value: Any, fields: dict[str, Any]) -> Any:
    """Return the value with other fields; ValueError in scikit-learn's words for a name that is none."""
    for name in fields:
        if name not in _fields(value):
            raise ValueError(
                f"Invalid parameter {name!r} for {value!r}. Valid parameters are: {_fields(value)!r}."
            )
    return dataclasses.replace(value, **fields)
