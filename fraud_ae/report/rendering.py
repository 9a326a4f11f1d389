"""Templates of pages that are one HTML file."""

from datetime import UTC, datetime
from importlib.resources import files
from typing import TYPE_CHECKING

from fraud_ae import __version__
from fraud_ae.report.formats import FILTERS

if TYPE_CHECKING:
    from jinja2 import Template


def page_template(name: str, **filters) -> "Template":
    """A template of `templates/`, which knows the style, the version and when it is written.

    filters: beside those of `fraud_ae.report.formats`.
    """
    # Here, as whoever only reads results needs neither.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("fraud_ae.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update({**FILTERS, **filters})
    shared = {
        "style": packed("page.css"),
        "written": datetime.now(UTC).isoformat(timespec="minutes"),
        "version": __version__,
    }
    return environment.get_template(name, globals=shared)


def packed(name: str):
    """A file of `templates/`, to be put into a page as it is."""
    from markupsafe import Markup

    return Markup(files("fraud_ae.report").joinpath("templates", name).read_text("utf-8"))
