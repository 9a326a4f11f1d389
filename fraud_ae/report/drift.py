"""The page of a check for drift: one HTML file that needs nothing beside it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.resources import files

from fraud_ae import __version__
from fraud_ae.drift.tables import not_judged, other_row, p_value, told, typical_shift, verdict
from fraud_ae.report.formats import FILTERS


def drift_page(checked: Mapping) -> str:
    """The page of what `check_drift` found."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("fraud_ae.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    environment.filters["p_value"] = p_value
    compared = [f for f in checked["findings"] if f["kind"] in ("feature", "score")]
    others = [(other_row(f), f) for f in checked["findings"] if f not in compared]
    own = files("fraud_ae.report")
    return environment.get_template("drift.html.jinja").render(
        **checked,
        style=Markup(own.joinpath("page.css").read_text("utf-8")),
        verdict=verdict(checked),
        found=list(dict.fromkeys(told(f) for f in checked["findings"] if f["drift"])),
        compared=[{**f, "pairs": _pairs(f["details"])} for f in compared if f["details"]],
        others=[(row, finding) for row, finding in others if row],
        not_judged=not_judged(checked),
        shift=typical_shift(checked),
        written=datetime.now(UTC).isoformat(timespec="minutes"),
        version=__version__,
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
