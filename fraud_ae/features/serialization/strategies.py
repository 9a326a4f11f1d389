"""A strategy, fitted or not, as plain JSON data and back."""

import inspect
import pkgutil
from typing import Any

from fraud_ae.errors import UserError
from fraud_ae.features.serialization.values import from_plain, to_plain


def strategy_to_dict(strategy: Any) -> dict[str, Any]:
    """Class path, constructor arguments and fitted attributes (names that end in `_`).

    The data go through `json.dumps(..., allow_nan=False)`, and `strategy_from_dict` makes of them
    a strategy with bit-identical features. Raises UserError, naming the class and the attribute,
    if something cannot be saved, or would be forgotten.
    """
    cls = type(strategy)
    path = f"{cls.__module__}.{cls.__qualname__}"
    if _resolve(path) is not cls:
        raise UserError(f"{path} cannot be imported again; define the class at the top of a module")
    arguments = {name: _argument(strategy, name) for name in _argument_names(cls)}
    fitted = {
        name: value
        for name, value in vars(strategy).items()
        if name.endswith("_") and name not in arguments
    }
    _check_nothing_is_forgotten(strategy, arguments, fitted)
    return {
        "class": path,
        "arguments": {name: _save(strategy, name, value) for name, value in arguments.items()},
        "fitted": {name: _save(strategy, name, value) for name, value in fitted.items()},
    }


def strategy_from_dict(saved: dict[str, Any]) -> Any:
    """The strategy that `strategy_to_dict` was given.

    Raises UserError if its class is not there any more or is no feature strategy.
    """
    cls = _resolve(saved["class"])
    if not isinstance(cls, type) or not hasattr(cls, "generate_features"):
        raise UserError(
            f"{saved['class']} is no feature strategy; it must be a class with generate_features"
        )
    arguments = {name: from_plain(v, strategy_from_dict) for name, v in saved["arguments"].items()}
    strategy = cls(**arguments)
    for name, value in saved["fitted"].items():
        setattr(strategy, name, from_plain(value, strategy_from_dict))
    return strategy


def _resolve(path: str) -> Any:
    try:
        return pkgutil.resolve_name(path)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"the strategy {path} cannot be imported: {error}") from error


def _argument_names(cls: type) -> list[str]:
    parameters = inspect.signature(cls).parameters.values()
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise UserError(
                f"{cls.__name__} cannot be saved: its constructor takes {parameter}; give every "
                "argument a name"
            )
    return [parameter.name for parameter in parameters]


def _argument(strategy: Any, name: str) -> Any:
    if not hasattr(strategy, name):
        raise UserError(
            f"{type(strategy).__name__} cannot be saved: it does not keep its constructor argument "
            f"{name}; store it as self.{name}"
        )
    return getattr(strategy, name)


def _check_nothing_is_forgotten(strategy: Any, arguments: dict, fitted: dict) -> None:
    """What `__init__` sets is made again; what `fit` adds under another name would be lost."""
    fresh = vars(type(strategy)(**arguments))
    for name in vars(strategy):
        if name not in fresh and name not in fitted and not hasattr(type(strategy), name):
            raise UserError(
                f"{type(strategy).__name__}.{name} would be lost on saving; what fit learns needs "
                f"a name that ends in _, such as {name.strip('_')}_"
            )


def _save(strategy: Any, name: str, value: Any) -> Any:
    return to_plain(value, f"{type(strategy).__name__}.{name}", _save_nested)


def _save_nested(value: Any) -> dict[str, Any] | None:
    return strategy_to_dict(value) if hasattr(value, "generate_features") else None
