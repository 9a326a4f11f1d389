"""The OpenAPI document, with examples from the data of the model."""

import asyncio
from functools import partial
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic_core import to_json

from fraud_ae.serving.errors import RequestRefused
from fraud_ae.serving.http.guard import OPEN_PATHS
from fraud_ae.serving.http.keys import KEY_HEADER, key_missing
from fraud_ae.serving.http.schemas import Error, score_response
from fraud_ae.serving.limits import Limits
from fraud_ae.serving.model import ServedModel
from fraud_ae.serving.results import Conflict
from fraud_ae.serving.service import Service

_ABOUT = """Scores transactions one by one or in small lists. Errors are `{"error": ..., "field":
...}`. With 503, `Retry-After` says in how many seconds to ask again: the same transaction_id gets
the same answer, and counts once."""
_REFERENCE = "#/components/schemas/"
_OF_KEYS = [
    key_missing(),
    RequestRefused(403, "the key 'reviewers' may label, read, not score"),
    RequestRefused(429, "more than 100 requests a second with the key 'gateway'", retry_after=1),
]
_FAILED = RequestRefused(500, "something failed here; the log has it as error 0f4d2a7c91b3")


class Documentation:
    """The OpenAPI document of a service, made once for each model that it serves."""

    def __init__(self, app: FastAPI, service: Service, with_key: bool) -> None:
        self._app, self._service, self._with_key = app, service, with_key
        self._making = asyncio.Lock()
        self._model: ServedModel | None = None
        self._text = b""

    async def text(self) -> bytes:
        """That of the current model, as JSON."""
        async with self._making:
            model = self._service.model
            if model is not self._model:
                document = partial(openapi_document, self._app, model, self._service.limits)
                self._text = to_json(await asyncio.to_thread(document, self._with_key))
                self._model = model
            return self._text


def openapi_document(
    app: FastAPI, model: ServedModel, limits: Limits, with_key: bool
) -> dict[str, Any]:
    """The OpenAPI document of an application that serves a model."""
    document = get_openapi(
        title=app.title, version=app.version, description=_ABOUT, routes=app.routes
    )
    schemas = document["components"]["schemas"]
    schemas["Transaction"] = {
        **model.reader.transaction.model.model_json_schema(),
        "description": "Fields that are not listed are ignored.",
    }
    schemas["Outcome"] = {
        **model.reader.outcome.model.model_json_schema(),
        "description": "A confirmed outcome: whether a transaction was fraud. The last one counts.",
    }
    schemas["Error"] = Error.model_json_schema()
    response = score_response(model.example_result)
    outcome = {"transaction_id": response["transaction_id"], "is_fraud": True}
    bodies = {"/score": ("Transaction", model.example), "/label": ("Outcome", outcome)}
    examples = {
        "/score": response,
        "/label": {**outcome, "known": True},
        "/health": {"status": "ok"},
        "/ready": {"status": "ready", "model": model.version},
        "/model": model.card,
        "/reload": {"model": model.version},
    }
    errors = _errors(model, limits)
    for path, methods in document["paths"].items():
        (route,) = methods.values()
        if path in bodies:
            _add_request_body(route, *bodies[path])
        if path in examples:
            example = examples[path]
            route["responses"]["200"]["content"]["application/json"] |= (
                {"examples": _one_and_list(example)} if path in bodies else {"example": example}
            )
        key_errors = _OF_KEYS if with_key and path not in OPEN_PATHS else []
        for error in (*errors.get(path, ()), _FAILED, *key_errors):
            route["responses"][str(error.status)] = _error_response(error)
    metrics = {"text/plain": {"schema": {"type": "string"}}}
    document["paths"]["/metrics"]["get"]["responses"]["200"]["content"] = metrics
    if with_key:
        scheme = {"type": "apiKey", "in": "header", "name": KEY_HEADER}
        document["components"]["securitySchemes"] = {"key": scheme}
        document["security"] = [{"key": []}]
    return document


def _add_request_body(route: dict[str, Any], schema: str, example: dict[str, Any]) -> None:
    one = {"$ref": _REFERENCE + schema}
    body = {
        "schema": {"anyOf": [one, {"type": "array", "items": one}]},
        "examples": _one_and_list(example),
    }
    route["requestBody"] = {"required": True, "content": {"application/json": body}}


def _one_and_list(example: dict[str, Any]) -> dict[str, Any]:
    return {"one": {"value": example}, "a list": {"value": [example]}}


def _errors(model: ServedModel, limits: Limits) -> dict[str, list[RequestRefused]]:
    """Path -> examples of the errors that it may answer with."""
    queue_full = RequestRefused(503, f"{limits.max_waiting} transactions wait already", None, 1)
    of_a_body = [
        RequestRefused(400, "the body is not JSON: EOF while parsing a value at line 1 column 0"),
        RequestRefused(408, f"the body did not come within {limits.timeout:g} seconds"),
        RequestRefused(413, f"the body is larger than {limits.max_body:,} bytes"),
        queue_full,
    ]
    label = RequestRefused(422, "is_fraud: must be 0, 1, true or false, got 'yes'", "is_fraud")
    conflict = Conflict("t1", "amount is 12.0, and was 10.0").refusal("")
    stays = "the model stays as it was: its folder is not whole; missing trees.json"
    return {
        "/score": [*of_a_body, conflict, _invalid_amount(model)],
        "/label": [*of_a_body, label],
        "/reload": [RequestRefused(409, stays)],
        "/ready": [queue_full],
        "/alerts": [RequestRefused(422, "day: Input should be a valid date", "day")],
    }


def _invalid_amount(model: ServedModel) -> RequestRefused:
    try:
        model.reader.read([{**model.example, "amount": "much"}], is_list=False)
    except RequestRefused as error:
        return error
    raise AssertionError("an amount that is no number was accepted")


def _error_response(error: RequestRefused) -> dict[str, Any]:
    content = {"schema": {"$ref": _REFERENCE + "Error"}, "example": error.body}
    response: dict[str, Any] = {
        "description": "Refused" if error.status < 500 else "Not now",
        "content": {"application/json": content},
    }
    if error.retry_after is not None:
        schema = {"schema": {"type": "integer"}, "description": "Seconds."}
        response["headers"] = {"Retry-After": schema}
    return response
