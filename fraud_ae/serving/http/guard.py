"""Middleware of every request: API key, cross-site check, metrics, and internal errors."""

import logging
import time
import uuid

from pydantic_core import to_json
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fraud_ae.serving.errors import RequestRefused
from fraud_ae.serving.http.keys import Keys, key_missing
from fraud_ae.serving.metrics import Metrics

log = logging.getLogger("fraud_ae")

# Probes send no key. The pages hold no data and ask the user for the key.
OPEN_PATHS = ("/health", "/ready", "/", "/docs", "/favicon.ico")
OPEN_FOLDERS = ("/pages/", "/swagger/")
# Everything else, what there will be too, is for those who may read.
_ROLES = {"/score": "score", "/label": "label", "/reload": "reload"}
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
    """ASGI middleware. keys: of which clients must send one, None for no check.

    A request has the key that was sent as `state.api_key`, None where there is no check.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, keys: Keys | None) -> None:
        self._app, self._metrics, self._keys = app, metrics, keys

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
            # With `r`: the path is what a client wrote, line ends included.
            log.exception("error %s: %s %r", error_id, scope["method"], scope["path"])
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
        path, state = scope["path"], scope.setdefault("state", {})
        state["api_key"] = None
        if self._keys is None or path in OPEN_PATHS or path.startswith(OPEN_FOLDERS):
            return
        key = state["api_key"] = self._keys.of(headers)
        if key is None:
            raise key_missing()
        key.check(_ROLES.get(path, "read"))
