"""Middleware of every request: API key, cross-site check, metrics, and internal errors."""

import hmac
import logging
import time
import uuid

from pydantic_core import to_json
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fraud_ae.serving.errors import RequestRefused
from fraud_ae.serving.metrics import Metrics

log = logging.getLogger("fraud_ae")

KEY_HEADER = "X-API-Key"
# Probes send no key. The pages hold no data and ask the user for the key.
OPEN_PATHS = ("/health", "/ready", "/", "/docs", "/favicon.ico")
OPEN_FOLDERS = ("/pages/", "/swagger/")
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cache-control", b"no-store"),
]
_FOREIGN = ("cross-site", "same-site")


def error_response(refused: RequestRefused) -> Response:
    """The JSON response of an error."""
    return Response(
        to_json(refused.body), refused.status, refused.headers, media_type="application/json"
    )


class Guard:
    """ASGI middleware. key: API key that clients must send, None for no check."""

    def __init__(self, app: ASGIApp, metrics: Metrics, key: str | None) -> None:
        self._app, self._metrics = app, metrics
        self._key = None if key is None else key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *_HEADERS]
            await send(message)

        try:
            self._check(scope)
            await self._app(scope, receive, send_with_headers)
        except RequestRefused as error:
            await error_response(error)(scope, receive, send_with_headers)
        except Exception:
            error_id = uuid.uuid4().hex[:12]
            log.exception("error %s: %s %s", error_id, scope["method"], scope["path"])
            if not status:
                error = RequestRefused(
                    500, f"something failed here; the log has it as error {error_id}"
                )
                await error_response(error)(scope, receive, send_with_headers)
        finally:
            route = getattr(scope.get("route"), "path", None) or "other"
            self._metrics.request(route, status, time.perf_counter() - started)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        # Without a key, a page of another site could make a browser post to this service.
        is_read = scope["method"] in ("GET", "HEAD")
        if not is_read and headers.get("sec-fetch-site") in _FOREIGN:
            raise RequestRefused(403, "not for pages of other sites")
        path = scope["path"]
        if self._key is None or path in OPEN_PATHS or path.startswith(OPEN_FOLDERS):
            return
        key = headers.get(KEY_HEADER, "").encode("latin-1")
        if not hmac.compare_digest(key, self._key):
            raise RequestRefused(401, f"the header {KEY_HEADER} must hold the key of this service")
