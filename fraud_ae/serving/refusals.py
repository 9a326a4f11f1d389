"""What a request is refused with: one shape for every error."""

from dataclasses import dataclass
from typing import Any


@dataclass
class Refused(Exception):
    """A request that is not answered as asked.

    status: of HTTP. error: what is wrong, in one line. field: where, such as `amount`, or
    `3.amount` in the fourth transaction of a list. retry_after: seconds, where trying again helps.
    """

    status: int
    error: str
    field: str | None = None
    retry_after: int | None = None

    def __str__(self) -> str:
        return self.error

    @property
    def body(self) -> dict[str, Any]:
        """As the client sees it."""
        where = {} if self.field is None else {"field": self.field}
        return {"error": self.error, **where}

    @property
    def headers(self) -> dict[str, str]:
        """Headers that go with it."""
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
