"""Features in the words of a reviewer: what each is about, its value, and what is usual.

A strategy declares `descriptions`, a sequence of `FeatureDescription`; features that none of them
matches are described by their own name.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fraud_ae.features.customer_history import CustomerHistory

# What stands for a category that is missing, or that training never saw often enough.
MISSING, UNSEEN = "<missing>", "<unseen>"

MINUTE, HOUR, DAY, YEAR = 60, 3600, 86_400, 365 * 86_400
_UNITS = ((YEAR, "year"), (DAY, "day"), (HOUR, "hour"), (MINUTE, "minute"), (1, "second"))


@dataclass(frozen=True)
class DescribedFeature:
    """One feature of one transaction, with all that its description may say.

    name: of the feature. parts: what the groups of its `FeatureDescription.pattern` hold. values:
    all features of the transaction. usual: of each, what is usual, see `Encoder.usual_`. past: of
    the customer, None where only features are at hand. bounds: what to say before values that were
    cut off.
    """

    name: str
    parts: tuple[str, ...]
    values: Mapping[str, float | str]
    usual: Mapping[str, Any]
    past: CustomerHistory | None = None
    bounds: Mapping[str, str] = field(default_factory=dict)

    @property
    def value(self) -> float | str:
        """The value of the feature: a number, or the text of a category."""
        return self.values[self.name]

    @property
    def is_missing(self) -> bool:
        """Whether the value is unknown."""
        return self.value == MISSING or self.value != self.value

    def shown(self, text: Callable[[float], str], name: str | None = None) -> str:
        """The value of the feature, or of the one called `name`, formatted by `text`."""
        name = name or self.name
        return f"{self.bounds.get(name, '')}{text(float(self.values[name]))}"

    def range(self, text: Callable[[float], str], name: str | None = None) -> str:
        """The usual range of the feature, or of the one called `name`; `text` formats its ends."""
        usual = self.usual[name or self.name]
        if isinstance(usual, dict):
            return f"usually {text(float(usual['1'] >= 0.5))}"
        return "usually missing" if usual is None else usually(usual, text)

    def _share(self) -> float:
        key = self.value if isinstance(self.value, str) else f"{self.value:g}"
        return self.usual[self.name].get(key, 0.0)

    def share(self) -> str:
        """Text on the share of transactions with the value of the feature."""
        return f"in {percent(self._share())} of transactions"

    @property
    def stands_out(self) -> bool:
        """Whether the value is outside the usual range, or under 5 % of transactions have it."""
        usual = self.usual[self.name]
        if self.is_missing or usual is None:
            return not (self.is_missing and usual is None)
        if isinstance(usual, dict):
            return self._share() < 0.05
        return not usual[0] <= self.value <= usual[1]


# Gives two texts: the value of a feature, and what is usual (which may be empty).
Describe = Callable[[DescribedFeature], tuple[str, str]]


@dataclass(frozen=True)
class FeatureDescription:
    """How features are described whose whole name matches a pattern (a regular expression).

    subject: what they are about; features of one subject are one reason. `\\1` stands for what the
    first group of the pattern matches. describe: gives the value and what is usual.
    """

    pattern: str
    subject: str
    describe: Describe


def descriptions_of(strategy: Any) -> tuple[FeatureDescription, ...]:
    """The descriptions that a strategy declares; none if it is of a class that has none."""
    return tuple(getattr(strategy, "descriptions", ()))


def subject_of(
    name: str, descriptions: Sequence[FeatureDescription]
) -> tuple[str, tuple[str, ...], Describe]:
    """The subject of a feature, the groups of the pattern it matches, and its `describe`."""
    for description in descriptions:
        match = re.fullmatch(description.pattern, name)
        if match:
            return match.expand(description.subject), match.groups(), description.describe
    return readable(name), (), plain


def plain(feature: DescribedFeature) -> tuple[str, str]:
    """Describe any feature by its own name."""
    name, usual = readable(feature.name), feature.usual[feature.name]
    if feature.is_missing:
        return f"{name} missing", "usually there" if usual else ""
    if not isinstance(feature.value, str):
        if isinstance(usual, dict):
            is_binary = f"{feature.value:g}" in usual
            value = ("no", "yes")[int(feature.value)] if is_binary else number(feature.value)
            return f"{name}: {value}", feature.share()
        return f"{name} {feature.shown(number)}", feature.range(number)
    common = ", ".join(sorted(usual, key=usual.get)[:-4:-1])
    if feature.value == UNSEEN:
        return f"{name} rare or new", f"usually {common}"
    customer_usual = feature.past.usual_category(feature.name) if feature.past else None
    if customer_usual is not None and customer_usual != feature.value:
        return f"{name} {feature.value}", f"usually {customer_usual} for this customer"
    if feature.value not in usual:
        return f"{name} {feature.value}, rare or new", f"usually {common}"
    return f"{name} {feature.value}", feature.share()


def flag(yes: str, no: str) -> Describe:
    """Describe a feature that is 1 (`yes`) or 0 (`no`)."""

    def describe(feature: DescribedFeature) -> tuple[str, str]:
        if feature.is_missing or f"{feature.value:g}" not in ("0", "1"):
            return plain(feature)
        has_shares = isinstance(feature.usual[feature.name], dict)
        return yes if feature.value else no, feature.share() if has_shares else ""

    return describe


def readable(name: str) -> str:
    """The name of a feature with blanks."""
    return name.replace("_", " ")


def usually(usual: Sequence[float], text: Callable[[float], str]) -> str:
    """A range, in the form that `text` gives to its ends."""
    low, high = map(text, usual)
    return f"usually {low}" if low == high else f"usually {low} to {high}"


def number(value: float) -> str:
    """A number of which nothing is known."""
    # Encoded numbers have the digits of a float32, of which the last mean nothing.
    value = float(f"{round(value, 6) + 0.0:.6g}")
    if value == round(value):
        return _grouped(value, 0)
    return f"{value:,.2f}" if abs(value) >= 1 else f"{value:.3g}"


def _grouped(value: float, decimals: int) -> str:
    """With separators for thousands as far as they can be read; 1e+15 and more as such."""
    return f"{value:.6g}" if abs(value) >= 1e15 else f"{value:,.{decimals}f}"


def money(value: float) -> str:
    """An amount."""
    return _grouped(value + 0.0, 2)


def about(value: float) -> str:
    """An amount to compare with: cents matter in small ones alone."""
    return _grouped(value, 0) if abs(value) >= 10 else money(value)


def percent(share: float) -> str:
    """A share of 1, with no more digits than tell something."""
    value = 100 * share
    digits = 0 if value >= 10 else 1 if value >= 0.1 else 2
    return f"{round(value, digits):g}%"


def times(ratio: float) -> str:
    """How many times as much."""
    whole = ratio >= 10 or ratio == round(ratio)
    return f"{_grouped(ratio, 0) if whole else f'{ratio:.1f}'} times"


def ordinal(value: float) -> str:
    """1st, 2nd, 3rd, 11th, ..."""
    whole = round(value)
    ending = {1: "st", 2: "nd", 3: "rd"}.get(whole % 10, "th")
    return f"{whole:,}{'th' if whole % 100 in (11, 12, 13) else ending}"


def duration(seconds: float) -> str:
    """A time in the largest unit of which it holds two, or of which it is one."""
    if seconds >= 1e12:
        return "tens of thousands of years"
    seconds = round(max(seconds, 0))
    for unit, name in _UNITS:
        # A window of 0.007 days is 10 minutes to a reader.
        count = round(seconds / unit)
        if seconds >= 2 * unit or abs(seconds - unit) <= 0.02 * unit:
            return f"{count:,} {name}{'' if count == 1 else 's'}"
    return f"{seconds} seconds"


def window(days: str) -> str:
    """The length of a window, of which a feature's name holds the days."""
    return duration(float(days) * DAY)


def clock(hour: float) -> str:
    """An hour of the day to the full hour."""
    return f"{round(hour) % 24:02d}:00"


def within(hour: float, hours: tuple[float, float]) -> bool:
    """Whether an hour lies in a stretch of the day, which may go over midnight."""
    return bool((hour - hours[0]) % 24 <= (hours[1] - hours[0]) % 24)
