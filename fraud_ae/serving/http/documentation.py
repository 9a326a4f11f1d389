"""The OpenAPI document, with examples from the model's own data."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from fraud_ae.serving.errors import RequestRefused
from fraud_ae.serving.http.guard import KEY_HEADER
from fraud_ae.serving.http.schemas import Error, Outcome, score_response
from fraud_ae.serving.loaded_model import LoadedModel
from fraud_ae.serving.service import Service

_ABOUT = """Scores transactions one by one or in small lists. Errors are `{"error": ..., "field":
...}`. With 503, `Retry-After` says in how many seconds to ask again: the same transaction_id gets
the same answer, and counts once."""
_REFERENCE = "#/components/schemas/"


def openapi_document(app: FastAPI, service: Service, with_key: bool) -> dict[str, Any]:
    """The OpenAPI document for the current model of the service."""
    document = get_openapi(
        title=app.title, version=app.version, description=_ABOUT, routes=app.routes
    )
    model, paths = service.model, document["paths"]
    schemas = document["components"]["schemas"]
    schemas["Transaction"] = {
        **model.reader.model.model_json_schema(),
        "description": "Fields that are not listed are ignored.",
    }
    schemas["Outcome"] = Outcome.model_json_schema()
    schemas["Error"] = Error.model_json_schema()
    response = score_response(model.example_result)
    outcome = {"transaction_id": response["transaction_id"], "is_fraud": True}
    stored = {**outcome, "known": True}
    _add_request_body(paths["/score"]["post"], "Transaction", model.example)
    _add_examples(paths["/score"]["post"], response)
    _add_request_body(paths["/label"]["post"], "Outcome", outcome)
    _add_examples(paths["/label"]["post"], stored)
    _add_example(paths["/health"]["get"], {"status": "ok"})
    _add_example(paths["/ready"]["get"], {"status": "ready", "model": model.online.version})
    _add_example(paths["/model"]["get"], model.card)
    _add_example(paths["/reload"]["post"], {"model": model.online.version})
    metrics = {"schema": {"type": "string"}}
    paths["/metrics"]["get"]["responses"]["200"]["content"] = {"text/plain": metrics}
    _add_errors(paths, service, with_key)
    if with_key:
        scheme = {"type": "apiKey", "in": "header", "name": KEY_HEADER}
        document["components"]["securitySchemes"] = {"key": scheme}
        document["security"] = [{"key": []}]
    return document


def _add_request_body(route: dict[str, Any], schema: str, example: dict[str, Any]) -> None:
    one = {"$ref": _REFERENCE + schema}
    body = {
        "schema": {"anyOf": [one, {"type": "array", "items": one}]},
        "examples": {"one": {"value": example}, "a list": {"value": [example]}},
    }
    route["requestBody"] = {"required": True, "content": {"application/json": body}}


def _add_examples(route: dict[str, Any], example: dict[str, Any]) -> None:
    examples = {"one": {"value": example}, "a list": {"value": [example]}}
    route["responses"]["200"]["content"]["application/json"]["examples"] = examples


def _add_example(route: dict[str, Any], example: dict[str, Any]) -> None:
    route["responses"]["200"]["content"]["application/json"]["example"] = example


def _add_errors(paths: dict[str, Any], service: Service, with_key: bool) -> None:
    limits = service.limits
    queue_full = RequestRefused(
        503, f"{limits.max_waiting} transactions wait already", retry_after=1
    )
    invalid_json = RequestRefused(
        400, "the body is not JSON: EOF while parsing a value at line 1 column 0"
    )
    body_too_large = RequestRefused(413, f"the body is larger than {limits.max_body:,} bytes")
    body_too_slow = RequestRefused(408, f"the body did not come within {limits.timeout:g} seconds")
    reload_failed = RequestRefused(
        409, "the model stays as it was: its folder is not whole; missing trees.json"
    )
    invalid_day = RequestRefused(422, "day: Input should be a valid date", "day")
    key_missing = RequestRefused(401, f"the header {KEY_HEADER} must hold the key of this service")
    internal_error = RequestRefused(
        500, "something failed here; the log has it as error 0f4d2a7c91b3"
    )
    invalid_label = RequestRefused(
        422, "is_fraud: must be 0, 1, true or false, got 'yes'", "is_fraud"
    )
    body_errors = [invalid_json, body_too_slow, body_too_large, queue_full]
    errors = {
        ("/score", "post"): [*body_errors, _invalid_amount_error(service.model)],
        ("/label", "post"): [*body_errors, invalid_label],
        ("/reload", "post"): [reload_failed],
        ("/ready", "get"): [queue_full],
        ("/alerts", "get"): [invalid_day],
    }
    for path, methods in paths.items():
        for method, route in methods.items():
            responses = [*errors.get((path, method), []), internal_error]
            if with_key and path not in ("/health", "/ready"):
                responses.append(key_missing)
            for error in responses:
                route["responses"][str(error.status)] = _error_response(error)


def _invalid_amount_error(model: LoadedModel) -> RequestRefused:
    try:
        model.reader.read([{**model.example, "amount": "much"}], is_list=False)
    except RequestRefused as error:
        return error
    raise AssertionError("an amount that is no number was taken")


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
