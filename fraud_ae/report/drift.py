"""The page of a check for drift: one HTML file that needs nothing beside it."""

from collections.abc import Mapping

from fraud_ae.production.drift.tables import (
    not_judged,
    other_row,
    p_value,
    typical_shift,
    verdict,
)
from fraud_ae.report.rendering import page_template


def drift_page(checked: Mapping) -> str:
    """The page of a result of `check_drift`."""
    distributions = [f for f in checked["findings"] if f["kind"] in ("feature", "score")]
    return page_template("drift.html.jinja").render(
        **checked,
        verdict=verdict(checked),
        distributions=[{**f, "pairs": _pairs(f["details"])} for f in distributions if f["details"]],
        others=[(row, f) for f in checked["findings"] if (row := other_row(f))],
        not_judged=not_judged(checked),
        shift=typical_shift(checked),
        p_value=p_value,
    )


def _pairs(details: Mapping) -> list[dict]:
    """Name and both shares of each bin that either period has rows in, and their heights."""
    then, now = details["shares"]
    highest = max(*then, *now)
    return [
        {"name": name, "then": a, "now": b, "heights": (100 * a / highest, 100 * b / highest)}
        for name, a, b in zip(details["bins"], then, now, strict=True)
        if a or b
    ]
