"""Around every request: the key, foreign pages, figures, and errors without a trace."""

import hmac
import logging
import time
import uuid

from pydantic_core import to_json
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fraud_ae.serving.metrics import Metrics
from fraud_ae.serving.refusals import Refused

log = logging.getLogger("fraud_ae")

KEY_HEADER = "X-API-Key"
# Probes have no key, and pages that are still to ask for it hold no data.
OPEN_PATHS = ("/health", "/ready", "/", "/docs", "/favicon.ico")
OPEN_FOLDERS = ("/pages/", "/swagger/")
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cache-control", b"no-store"),
]
_FOREIGN = ("cross-site", "same-site")


def refusal(refused: Refused) -> Response:
    """The response that says why not."""
    return Response(
        to_json(refused.body), refused.status, refused.headers, media_type="application/json"
    )


class Guard:
    """ASGI middleware. key: that clients must send, None where nobody needs one."""

    def __init__(self, app: ASGIApp, metrics: Metrics, key: str | None) -> None:
        self._app, self._metrics = app, metrics
        self._key = None if key is None else key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *_HEADERS]
            await send(message)

        try:
            self._check(scope)
            await self._app(scope, receive, watched)
        except Refused as refused:
            await refusal(refused)(scope, receive, watched)
        except Exception:
            number = uuid.uuid4().hex[:12]
            log.exception("error %s: %s %s", number, scope["method"], scope["path"])
            if not status:
                told = Refused(500, f"something failed here; the log has it as error {number}")
                await refusal(told)(scope, receive, watched)
        finally:
            route = getattr(scope.get("route"), "path", None) or "other"
            self._metrics.request(route, status, time.perf_counter() - started)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        # A page of somebody else could make a browser post what needs no key.
        is_read = scope["method"] in ("GET", "HEAD")
        if not is_read and headers.get("sec-fetch-site") in _FOREIGN:
            raise Refused(403, "not for pages of other sites")
        path = scope["path"]
        if self._key is None or path in OPEN_PATHS or path.startswith(OPEN_FOLDERS):
            return
        given = headers.get(KEY_HEADER, "").encode("latin-1")
        if not hmac.compare_digest(given, self._key):
            raise Refused(401, f"the header {KEY_HEADER} must hold the key of this service")
