"""The OpenAPI document, with a transaction of the model's own data and its real answer."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from fraud_ae.serving.http.guard import KEY_HEADER
from fraud_ae.serving.http.schemas import Error, Outcome, shown
from fraud_ae.serving.loaded_model import Served
from fraud_ae.serving.refusals import Refused
from fraud_ae.serving.service import Service

_ABOUT = """Scores transactions one by one or in small lists. Errors are `{"error": ..., "field":
...}`. With 503, `Retry-After` says in how many seconds to ask again: the same transaction_id gets
the same answer, and counts once."""
_REFERENCE = "#/components/schemas/"


def described(app: FastAPI, service: Service, with_key: bool) -> dict[str, Any]:
    """The OpenAPI document of the model that is served now."""
    document = get_openapi(
        title=app.title, version=app.version, description=_ABOUT, routes=app.routes
    )
    served, paths = service.served, document["paths"]
    schemas = document["components"]["schemas"]
    schemas["Transaction"] = {
        **served.reader.model.model_json_schema(),
        "description": "Fields that are not listed are ignored.",
    }
    schemas["Outcome"] = Outcome.model_json_schema()
    schemas["Error"] = Error.model_json_schema()
    answer = shown(served.answer)
    outcome = {"transaction_id": answer["transaction_id"], "is_fraud": True}
    kept = {**outcome, "known": True}
    _takes(paths["/score"]["post"], "Transaction", served.example)
    _gives(paths["/score"]["post"], answer)
    _takes(paths["/label"]["post"], "Outcome", outcome)
    _gives(paths["/label"]["post"], kept)
    _gives_one(paths["/health"]["get"], {"status": "ok"})
    _gives_one(paths["/ready"]["get"], {"status": "ready", "model": served.online.version})
    _gives_one(paths["/model"]["get"], served.card)
    _gives_one(paths["/reload"]["post"], {"model": served.online.version})
    metrics = {"schema": {"type": "string"}}
    paths["/metrics"]["get"]["responses"]["200"]["content"] = {"text/plain": metrics}
    _add_errors(paths, service, with_key)
    if with_key:
        scheme = {"type": "apiKey", "in": "header", "name": KEY_HEADER}
        document["components"]["securitySchemes"] = {"key": scheme}
        document["security"] = [{"key": []}]
    return document


def _takes(route: dict[str, Any], schema: str, example: dict[str, Any]) -> None:
    one = {"$ref": _REFERENCE + schema}
    body = {
        "schema": {"anyOf": [one, {"type": "array", "items": one}]},
        "examples": {"one": {"value": example}, "a list": {"value": [example]}},
    }
    route["requestBody"] = {"required": True, "content": {"application/json": body}}


def _gives(route: dict[str, Any], example: dict[str, Any]) -> None:
    examples = {"one": {"value": example}, "a list": {"value": [example]}}
    route["responses"]["200"]["content"]["application/json"]["examples"] = examples


def _gives_one(route: dict[str, Any], example: dict[str, Any]) -> None:
    route["responses"]["200"]["content"]["application/json"]["example"] = example


def _add_errors(paths: dict[str, Any], service: Service, with_key: bool) -> None:
    limits = service.limits
    busy = Refused(503, f"{limits.max_waiting} transactions wait already", retry_after=1)
    malformed = Refused(400, "the body is not JSON: EOF while parsing a value at line 1 column 0")
    large = Refused(413, f"the body is larger than {limits.max_body:,} bytes")
    slow = Refused(408, f"the body did not come within {limits.timeout:g} seconds")
    changed = Refused(409, "the model stays as it was: its folder is not whole; missing trees.json")
    unasked = Refused(422, "day: Input should be a valid date", "day")
    key = Refused(401, f"the header {KEY_HEADER} must hold the key of this service")
    failed = Refused(500, "something failed here; the log has it as error 0f4d2a7c91b3")
    unknown = Refused(422, "is_fraud: must be 0, 1, true or false, got 'yes'", "is_fraud")
    posted = [malformed, slow, large, busy]
    errors = {
        ("/score", "post"): [*posted, _without_amount(service.served)],
        ("/label", "post"): [*posted, unknown],
        ("/reload", "post"): [changed],
        ("/ready", "get"): [busy],
        ("/alerts", "get"): [unasked],
    }
    for path, methods in paths.items():
        for method, route in methods.items():
            own = [*errors.get((path, method), []), failed]
            if with_key and path not in ("/health", "/ready"):
                own.append(key)
            for refused in own:
                route["responses"][str(refused.status)] = _refusal(refused)


def _without_amount(served: Served) -> Refused:
    try:
        served.reader.read([{**served.example, "amount": "much"}], listed=False)
    except Refused as refused:
        return refused
    raise AssertionError("an amount that is no number was taken")


def _refusal(refused: Refused) -> dict[str, Any]:
    content = {"schema": {"$ref": _REFERENCE + "Error"}, "example": refused.body}
    response: dict[str, Any] = {
        "description": "Refused" if refused.status < 500 else "Not now",
        "content": {"application/json": content},
    }
    if refused.retry_after is not None:
        schema = {"schema": {"type": "integer"}, "description": "Seconds."}
        response["headers"] = {"Retry-After": schema}
    return response
