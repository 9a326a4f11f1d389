"""What a sweep varies, as Optuna's distributions; known before its first job has run."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.override_parser.types import Override, ParsedElementType, QuotedString

from fraud_ae.sweeps.candidates import plain_values, read_candidate

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

# Its value belongs to the stage, whatever a candidate says.
_OF_THE_STAGE = "trainer.max_epochs"


def search_space(
    swept: Mapping[str, Override], given: Iterable[str], candidates: Path
) -> "dict[str, BaseDistribution]":
    """The distribution of each parameter of a sweep; what has one value only is none.

    Of candidates the parameters are the values in which they differ, not their names.

    swept: what the sweep varies, by key. told: all keys that the command gives a value; there it
    stands above the candidates. candidates: their folder.
    """
    space = {
        key: _distribution(distribution)
        for key, distribution in swept.items()
        if key != "candidate"
    }
    if "candidate" in swept:
        names = [_plain(name) for name in swept["candidate"].sweep_iterator()]
        paths = [candidates / f"{name}.yaml" for name in names]
        read = [plain_values(read_candidate(path)) for path in paths if path.is_file()]
        keys = dict.fromkeys(key for values in read for key in values)
        for key in keys.keys() - {*given, _OF_THE_STAGE}:
            # Sorted: which of the candidates is the best changes nothing.
            distinct = sorted({values.get(key) for values in read}, key=_order)
            space[key] = _choice(distinct)
    return {key: space[key] for key in sorted(space) if not space[key].single()}


def in_json(space: "Mapping[str, BaseDistribution]") -> dict:
    """What a search space says, by key: a list of values, or the bounds of an interval."""
    return {
        key: list(distribution.choices)
        if hasattr(distribution, "choices")
        else {"low": distribution.low, "high": distribution.high, "log": distribution.log}
        for key, distribution in space.items()
    }


def as_parameter(value: object, distribution: "BaseDistribution") -> object:
    """A value of a job as the distribution of its key has it.

    A quoted number is the same as the number. Raises KeyError where it is none of its values.
    """
    if not hasattr(distribution, "choices"):
        if isinstance(value, int | float) and distribution.low <= value <= distribution.high:
            return value
        raise KeyError(value)
    choices = distribution.choices
    same = [c for c in choices if c == value] or [c for c in choices if str(c) == str(value)]
    if not same:
        raise KeyError(value)
    return same[0]


def _distribution(override: Override) -> "BaseDistribution":
    from optuna.distributions import FloatDistribution, IntDistribution

    sweep = override.value()
    if override.is_interval_sweep():
        low, high, log = sweep.start, sweep.end, "log" in sweep.tags
    else:
        values = list(override.sweep_iterator(_plain))
        if not override.is_range_sweep():
            return _choice(values)
        low, high, log = min(values), max(values), False
    whole = isinstance(low, int) and isinstance(high, int)
    return (IntDistribution if whole else FloatDistribution)(low, high, log=log)


def _choice(values: Iterable) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution

    return CategoricalDistribution(list(dict.fromkeys(values)))


def _plain(element: ParsedElementType) -> object:
    """An element of a sweep as a parameter: Optuna takes no lists."""
    if isinstance(element, QuotedString):
        return element.text
    if isinstance(element, list | dict):
        return json.dumps(element, default=_plain)
    return element


def _order(value: object) -> tuple:
    is_number = isinstance(value, int | float)
    return (is_number, value if is_number else str(value))
