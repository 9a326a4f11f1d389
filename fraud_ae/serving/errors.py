"""The error of a request, in one form for every endpoint."""

from dataclasses import dataclass
from typing import Any


@dataclass
class RequestRefused(Exception):
    """An HTTP error response.

    status: HTTP status. error: message of one line. field: the invalid field, such as `amount`, or
    `3.amount` in the fourth transaction of a list. retry_after: seconds, if a retry may succeed.
    """

    status: int
    error: str
    field: str | None = None
    retry_after: int | None = None

    def __str__(self) -> str:
        return self.error

    @property
    def body(self) -> dict[str, Any]:
        """The JSON body."""
        where = {} if self.field is None else {"field": self.field}
        return {"error": self.error, **where}

    @property
    def headers(self) -> dict[str, str]:
        """Additional HTTP headers."""
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
