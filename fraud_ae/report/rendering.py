"""Templates of pages that are one HTML file."""

import functools
import inspect
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fraud_ae import __version__
from fraud_ae.report import formats

if TYPE_CHECKING:
    from jinja2 import Environment, Template


def page_template(name: str) -> "Template":
    """A template of `templates/`; every function of `fraud_ae.report.formats` is a filter in it.

    JSON in it is compact, and numbers must be finite: ValueError.
    """
    now = datetime.now(UTC).isoformat(timespec="minutes")
    return _environment().get_template(name, globals={"written": now})


@functools.cache
def _environment() -> "Environment":
    """What templates are compiled in, each once in a process."""
    # Here, as whoever only reads results does not need it.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("fraud_ae.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(inspect.getmembers(formats, inspect.isfunction))
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    environment.globals["version"] = __version__
    return environment
