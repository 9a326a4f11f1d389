"""The service as an ASGI application: its routes."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import date
from functools import partial
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
from fraud_ae.serving.http.documentation import described
from fraud_ae.serving.http.guard import Guard, refusal
from fraud_ae.serving.http.review import alerts_of, thresholds_of
from fraud_ae.serving.http.schemas import (
    Alerts,
    AnswerShape,
    Kept,
    Thresholds,
    read_outcomes,
    shown,
)
from fraud_ae.serving.limits import body_of
from fraud_ae.serving.refusals import Refused
from fraud_ae.serving.service import Service
from fraud_ae.serving.transactions import parsed

_PAGES = Path(__file__).with_name("pages")
# Nothing from elsewhere; Swagger's page styles itself.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'"
)


def create_app(service: Service, key: str | None = None) -> FastAPI:
    """The application around a service, which starts and stops with it.

    key: that clients must send, None where nobody needs one.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.start()
        yield
        await service.stop()

    app = FastAPI(
        title="fraud_ae", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None
    )
    app.add_middleware(Guard, metrics=service.metrics, key=key)
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(HTTPException, _not_routed)
    app.add_exception_handler(RequestValidationError, _bad_parameter)
    _add_answers(app, service)
    _add_facts(app, service)
    _add_pages(app, service)
    app.openapi = partial(described, app, service, key is not None)  # type: ignore[method-assign]
    return app


def _add_answers(app: FastAPI, service: Service) -> None:
    limits = service.limits

    async def given_by(request: Request) -> tuple[list[Any], bool]:
        given = parsed(await body_of(request, limits))
        listed = isinstance(given, list)
        if listed and len(given) > limits.max_batch:
            raise Refused(413, f"{len(given):,} in one request; at most {limits.max_batch:,}")
        return given if listed else [given], listed

    @app.post("/score", response_model=AnswerShape | list[AnswerShape])
    async def score(request: Request) -> Response:
        """Score a transaction, or a list of them in their order of arrival.

        What is given is remembered: later transactions of the same customer and terminal see it.
        """
        given, listed = await given_by(request)
        answers = [shown(answer) for answer in await service.score(given, listed)]
        return _json(answers if listed else answers[0])

    @app.post("/label", response_model=Kept | list[Kept])
    async def label(request: Request) -> Response:
        """Keep a confirmed outcome, or a list of them, for monitoring and retraining."""
        given, listed = await given_by(request)
        outcomes = read_outcomes(given, listed)
        known = await service.label(outcomes)
        kept = [
            {"transaction_id": transaction, "is_fraud": is_fraud, "known": is_known}
            for (transaction, is_fraud), is_known in zip(outcomes, known, strict=True)
        ]
        return _json(kept if listed else kept[0])

    @app.post("/reload", response_model=dict[str, Any])
    async def reload() -> Response:
        """Take up the model that is in the folder now; a bad one is refused with 409."""
        try:
            served = await service.reload()
        except UserError as error:
            told = f"the model stays {service.served.online.version}: {error}"
            raise Refused(409, " ".join(told.split())) from None
        return _json({"model": served.online.version})


def _add_facts(app: FastAPI, service: Service) -> None:
    @app.get("/health", response_model=dict[str, str])
    async def health() -> Response:
        """Whether the process lives."""
        return _json({"status": "ok"})

    @app.get("/ready", response_model=dict[str, str])
    async def ready() -> Response:
        """Whether a transaction would be taken now."""
        if not service.ready:
            raise Refused(503, "too many transactions wait, or the service stops", retry_after=1)
        return _json({"status": "ready", "model": service.served.online.version})

    @app.get("/model", response_model=dict[str, Any])
    async def model() -> Response:
        """The card of the model: version, figures, threshold, data period, what it takes."""
        return _json(service.served.card)

    @app.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Requests, latency, batches, scores, alert rates, labels; in the format of Prometheus."""
        counts = await service.review(lambda kept: kept.counts())
        text = service.metrics.text(service.waiting, counts)
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    @app.get("/alerts", response_model=Alerts)
    async def alerts(
        day: Annotated[date | None, Query(description="In UTC; the newest with alerts.")] = None,
        threshold: Annotated[
            float | None, Query(allow_inf_nan=False, description="That of the model.")
        ] = None,
    ) -> Response:
        """The alerts of a day, the highest score first, as a threshold would have it."""
        if threshold is None:
            threshold = service.served.online.detector.threshold
        return _json(await service.review(lambda kept: alerts_of(kept, day, threshold)))

    @app.get("/thresholds", response_model=Thresholds)
    async def thresholds() -> Response:
        """What other thresholds would do: alerts per day, and precision and recall."""
        explored = service.served.explored
        return _json(await service.review(lambda kept: thresholds_of(kept, explored)))


def _add_pages(app: FastAPI, service: Service) -> None:
    def page(path: str, name: str) -> Callable[[], Awaitable[Response]]:
        @app.get(path, include_in_schema=False)
        async def shown_page() -> Response:
            return FileResponse(_PAGES / name, headers={"Content-Security-Policy": _POLICY})

        return shown_page

    page("/", "review.html")
    page("/docs", "docs.html")
    app.mount("/pages", StaticFiles(directory=_PAGES))
    # Swagger UI, which FastAPI would load from elsewhere.
    app.mount("/swagger", StaticFiles(packages=[("fastapi_offline", "static")]))


def _json(data: Any) -> Response:
    return Response(to_json(data), media_type="application/json")


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return refusal(error)


async def _not_routed(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        told = f"no {request.url.path} here; see /docs"
    else:
        told = f"{request.method} {request.url.path}: {error.detail}"
    response = refusal(Refused(error.status_code, told))
    response.headers.update(error.headers or {})
    return response


async def _bad_parameter(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    problem = error.errors()[0]
    field = str(problem["loc"][-1])
    return refusal(Refused(422, f"{field}: {problem['msg']}", field))
