"""Filters of the templates: how numbers, times and names are written; None is a dash."""

from datetime import datetime

NOTHING = "–"
_NAMES = {
    "planted_auc": "ROC AUC of planted anomalies",
    "final_auc": "ROC AUC",
    "average_precision": "average precision",
    "recall_at_1pct_fpr": "recall at 1 % false positives",
    "value_caught": "fraud value caught",
    "alert_rate": "alert rate",
    "f1": "F1",
}


def figure(value: float | None, digits: int = 4) -> str:
    """A figure between 0 and 1, such as a ROC AUC."""
    return NOTHING if value is None else f"{value:.{digits}f}"


def signed(value: float | None, digits: int = 4) -> str:
    """A difference, with its sign."""
    # The sign of people who read, and not that of programs.
    return NOTHING if value is None else f"{value:+.{digits}f}".replace("-", "−")


def percent(value: float | None, digits: int = 1) -> str:
    """A share as percent."""
    # The sign does not stand alone on a line.
    return NOTHING if value is None else f"{value * 100:.{digits}f}\u00a0%"


def probability(value: float | None) -> str:
    """A probability as percent; a small one to more digits, so that it is not taken for 0."""
    if value is None:
        return NOTHING
    return percent(value, 1 if value >= 0.01 or value == 0 else 2 if value >= 0.001 else 3)


def between(low: float, high: float) -> str:
    """A range of probabilities: 5 to 10 %, or below 0.1 % for one from 0."""
    upper = f"{100 * high:g}\u00a0%"
    return f"{100 * low:g} to {upper}" if low > 0 else f"below {upper}"


def points(value: float | None) -> str:
    """A difference of shares, in percentage points."""
    return NOTHING if value is None else signed(value * 100, 1)


def number(value: float | None) -> str:
    """A count, with separators for thousands."""
    return NOTHING if value is None else f"{value:,.0f}"


def amount(value: float | None) -> str:
    """An amount of money, in whatever currency the data have."""
    return NOTHING if value is None else f"{value:,.2f}"


def short(value: object) -> str:
    """A parameter's value, as short as it can be without losing anything that matters."""
    if value is None:
        return NOTHING
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def score(value: float | None) -> str:
    """A score or a threshold, to four digits that tell something."""
    return NOTHING if value is None else f"{value:#.4g}".rstrip(".")


def exact(value: float | None) -> str:
    """A threshold, to as many digits as tell scores apart; `page.js` writes it the same way."""
    return NOTHING if value is None else f"{value:#.6g}".rstrip(".")


def day(text: str) -> str:
    """The day of a time in ISO text: 2 May 2024."""
    moment = datetime.fromisoformat(text)
    return f"{moment.day} {moment:%b %Y}"


def minute(text: str) -> str:
    """A time in ISO text, to the minute: 2 May 2024, 13:05."""
    return f"{day(text)}, {datetime.fromisoformat(text):%H:%M}"


def figure_name(name: str) -> str:
    """The name of a figure as people write it."""
    return _NAMES.get(name, name)


def parameter(name: str) -> str:
    """A parameter without the section that it stands in: latent_dim of model.latent_dim."""
    return name.rpartition(".")[2]


def position(value: float, axis: dict) -> str:
    """How far along an axis a value lies, as a CSS length."""
    return f"{100 * (value - axis['low']) / (axis['high'] - axis['low']):.2f}%"
