"""The FastAPI application: endpoints and pages."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic_core import to_json
from starlette.exceptions import HTTPException

from fraud_ae import __version__
from fraud_ae.errors import UserError
from fraud_ae.serving.errors import RequestRefused
from fraud_ae.serving.http.documentation import Documentation
from fraud_ae.serving.http.guard import Guard, error_response
from fraud_ae.serving.http.keys import Keys
from fraud_ae.serving.http.review import alerts_response, thresholds_response
from fraud_ae.serving.http.schemas import (
    AlertsResponse,
    ScoreResponse,
    StoredOutcome,
    ThresholdsResponse,
    score_response,
)
from fraud_ae.serving.limits import read_body
from fraud_ae.serving.results import StoredResults
from fraud_ae.serving.service import Service
from fraud_ae.serving.transactions import parse_json

_PAGES = Path(__file__).with_name("pages")
# Nothing from other hosts. Swagger UI needs inline styles.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'"
)
# Transactions are not older, and the day after the last one is a date, too.
_FIRST_DAY, _LAST_DAY = date(1900, 1, 1), date(9999, 12, 30)


def create_app(service: Service, keys: Keys | None = None) -> FastAPI:
    """The application of a service, which stops with it.

    keys: of which clients must send one, None for no check.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await service.stop()

    app = FastAPI(title="fraud_ae", version=__version__, lifespan=lifespan, openapi_url=None)
    app.add_middleware(Guard, metrics=service.metrics, keys=keys)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid_parameter)
    _add_scoring(app, service)
    _add_monitoring(app, service)
    _add_pages(app, keys)
    documentation = Documentation(app, service, keys is not None)

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        return Response(await documentation.text(), media_type="application/json")

    return app


def _add_scoring(app: FastAPI, service: Service) -> None:
    limits = service.limits

    async def read_items(request: Request) -> tuple[list[Any], bool]:
        # Before any work on it: refusing has to stay cheap while there are too many.
        service.scoring.check_room()
        body = parse_json(await read_body(request, limits))
        is_list = isinstance(body, list)
        if is_list and len(body) > limits.max_batch:
            raise RequestRefused(413, f"{len(body):,} in one request; at most {limits.max_batch:,}")
        if is_list and request.state.api_key is not None:
            request.state.api_key.charge(len(body) - 1)
        return body if is_list else [body], is_list

    @app.post("/score", response_model=ScoreResponse | list[ScoreResponse])
    async def score(
        request: Request,
        replace: Annotated[
            bool, Query(description="Whether it replaces that of the same id.")
        ] = False,
    ) -> Response:
        """Score a transaction, or a list of them in their order of arrival.

        Each is stored: it is history of later ones of the same customer and terminal. The same
        again gets the same answer; other values of the same id are refused with 409.
        """
        items, is_list = await read_items(request)
        results = await service.score(items, is_list, replace)
        responses = [score_response(result) for result in results]
        return _json(responses if is_list else responses[0])

    @app.post("/label", response_model=StoredOutcome | list[StoredOutcome])
    async def label(request: Request) -> Response:
        """Store a confirmed outcome, or a list of them, for monitoring and retraining."""
        items, is_list = await read_items(request)
        outcomes = service.model.reader.read_outcomes(items, is_list)
        known = await service.label(outcomes)
        responses = [
            {"transaction_id": transaction, "is_fraud": is_fraud, "known": is_known}
            for (transaction, is_fraud), is_known in zip(outcomes, known, strict=True)
        ]
        return _json(responses if is_list else responses[0])

    @app.post("/reload", response_model=dict[str, Any])
    async def reload() -> Response:
        """Load the model that is in the folder now; a bad one is refused with 409."""
        try:
            model = await service.reload()
        except UserError as error:
            message = f"the model stays {service.model.version}: {error}"
            raise RequestRefused(409, " ".join(message.split())) from None
        return _json({"model": model.version})


def _add_monitoring(app: FastAPI, service: Service) -> None:
    @app.get("/health", response_model=dict[str, str])
    async def health() -> Response:
        """Whether the process lives."""
        return _json({"status": "ok"})

    @app.get("/ready", response_model=dict[str, str])
    async def ready() -> Response:
        """Whether a transaction would be accepted now."""
        if not service.scoring.ready:
            service.scoring.check_room()
            raise RequestRefused(503, "scoring has ended; start the service again", retry_after=5)
        await service.check_store()
        return _json({"status": "ready", "model": service.model.version})

    @app.get("/model", response_model=dict[str, Any])
    async def model() -> Response:
        """The card of the model: version, figures, threshold, data period, what it takes."""
        return _json(service.model.card)

    @app.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Requests, latency, batches, scores, alert rates, labels; in the format of Prometheus."""
        counts = await service.review(StoredResults.counts)
        text = service.metrics.text(service.scoring.waiting, counts)
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    @app.get("/alerts", response_model=AlertsResponse)
    async def alerts(
        day: Annotated[
            date | None,
            Query(description="In UTC; the newest with alerts.", ge=_FIRST_DAY, le=_LAST_DAY),
        ] = None,
        threshold: Annotated[
            float | None, Query(allow_inf_nan=False, description="That of the model.")
        ] = None,
    ) -> Response:
        """The alerts of a day, the highest score first, as a threshold would have it."""
        if threshold is None:
            threshold = service.model.detector.threshold
        return _json(await service.review(alerts_response, day, threshold))

    @app.get("/thresholds", response_model=ThresholdsResponse)
    async def thresholds() -> Response:
        """What other thresholds would do: alerts per day, and precision and recall."""
        curve = service.model.threshold_explorer
        return _json(await service.review(thresholds_response, curve))


def _add_pages(app: FastAPI, keys: Keys | None) -> None:
    def page(name: str, status: int = 200) -> Response:
        return FileResponse(_PAGES / name, status, headers={"Content-Security-Policy": _POLICY})

    @app.get("/", include_in_schema=False)
    async def review() -> Response:
        return page("review.html")

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> Response:
        # The page of the 401 asks for the key, and draws the document with it.
        return page("docs.html", 200 if keys is None or keys.of(request.headers) else 401)

    app.mount("/pages", StaticFiles(directory=_PAGES))
    # A local copy of Swagger UI, which FastAPI would load from a CDN.
    app.mount("/swagger", StaticFiles(packages=[("fastapi_offline", "static")]))


def _json(data: Any) -> Response:
    return Response(to_json(data), media_type="application/json")


async def _http_error(request: Request, error: HTTPException) -> Response:
    if error.status_code == 404:
        message = f"no {request.url.path} here; see /docs"
    else:
        message = f"{request.method} {request.url.path}: {error.detail}"
    response = error_response(RequestRefused(error.status_code, message))
    response.headers.update(error.headers or {})
    return response


async def _invalid_parameter(_: Request, error: RequestValidationError) -> Response:
    problem = error.errors()[0]
    field = str(problem["loc"][-1])
    return error_response(RequestRefused(422, f"{field}: {problem['msg']}", field))
