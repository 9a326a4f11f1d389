"""The page of a check for drift: one HTML file that needs nothing beside it."""

from collections.abc import Mapping

from fraud_ae.production.drift.tables import (
    finding_name,
    not_judged,
    other_row,
    p_value,
    typical_shift,
    verdict,
)
from fraud_ae.report.rendering import page_template


def drift_page(checked: Mapping) -> str:
    """The page of what `check_drift` found."""
    compared = [f for f in checked["findings"] if f["kind"] in ("feature", "score")]
    others = [(other_row(f), f) for f in checked["findings"] if f not in compared]
    return page_template("drift.html.jinja", p_value=p_value).render(
        **checked,
        verdict=verdict(checked),
        found=list(dict.fromkeys(finding_name(f) for f in checked["findings"] if f["drift"])),
        compared=[{**f, "pairs": _pairs(f["details"])} for f in compared if f["details"]],
        others=[(row, finding) for row, finding in others if row],
        not_judged=not_judged(checked),
        shift=typical_shift(checked),
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
