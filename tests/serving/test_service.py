"""What a running service answers."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from fraud_ae.detector.detector import FraudDetector
from tests.serving.running import KEY, link_production, plain


@pytest.fixture(scope="module")
def rows(validation):
    """Transactions of the validation period with ids of this file."""
    return plain(validation.drop(columns="is_fraud"), "S")


def test_a_transaction_gets_its_result_once_and_a_list_gets_a_list(shared, model, rows):
    response = shared.post("/score", rows[0])
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    one = response.json()
    assert list(one) == [
        *("transaction_id", "score", "alert", "threshold", "reasons", "model", "repeated")
    ]
    assert one["threshold"] == FraudDetector.load(model).threshold
    assert one["alert"] == (one["score"] > one["threshold"])
    stored = shared.stored
    repeated = shared.metric("fraud_ae_repeated_transactions_total")
    several = shared.post("/score", [*rows[1:4], rows[1]]).json()
    assert [one["transaction_id"] for one in several] == ["S1", "S2", "S3", "S1"]
    assert several[3] == {**several[0], "repeated": True}
    assert not several[0]["repeated"]
    assert shared.stored == stored + 3
    assert shared.metric("fraud_ae_repeated_transactions_total") == repeated + 1
    assert shared.post("/score", []).json() == []


@pytest.mark.promise(5)
def test_other_values_of_an_id_are_refused_unless_they_replace_it(shared, rows):
    row = {**rows[10], "transaction_id": "changed", "amount": 10.0}
    other = {**row, "amount": 1e6}
    for request, field in (([row, other], "1.transaction_id"), (other, "transaction_id")):
        refused = shared.post("/score", request)
        assert refused.status_code == 409
        assert "amount is 1000000.0, and was 10.0" in refused.json()["error"]
        assert refused.json()["field"] == field
    first = shared.post("/score", row).json()
    assert first["repeated"]
    replaced = shared.post("/score?replace=true", other).json()
    assert replaced["score"] != first["score"]
    assert not replaced["repeated"]
    assert shared.post("/score", other).json() == {**replaced, "repeated": True}
    # One after another in one request, too: the last one stays.
    third = {**row, "amount": 20.0}
    results = shared.post("/score?replace=true", [other, row, third]).json()
    assert not any(result["repeated"] for result in results)
    assert results[:2] == [replaced, {**first, "repeated": False}]
    assert shared.post("/score", third).json() == {**results[2], "repeated": True}


def test_an_alert_has_reasons(shared, rows):
    odd = {**rows[11], "amount": 50_000.0, "device": "a new one", "quantity": 900.0}
    result = shared.post("/score", {**odd, "transaction_id": "odd"}).json()
    assert result["alert"]
    assert result["reasons"]
    for reason in result["reasons"]:
        assert set(reason) == {"text", "subject", "features", "share"}
        assert 0 < reason["share"] <= 1
        assert len(reason["text"]) > 3


def test_outcomes_are_stored_one_or_a_list_known_or_not(shared, rows):
    shared.post("/score", rows[12])
    stored = shared.post("/label", {"transaction_id": "S12", "is_fraud": 1})
    assert stored.json() == {"transaction_id": "S12", "is_fraud": True, "known": True}
    several = [{"transaction_id": name, "is_fraud": False} for name in ("S12", "never seen")]
    assert [one["known"] for one in shared.post("/label", several).json()] == [True, False]
    assert shared.metric('fraud_ae_labels_total{is_fraud="1"}') >= 1


@pytest.mark.parametrize(
    ("body", "field", "error"),
    [
        ({"transaction_id": "S1"}, "is_fraud", "is_fraud: is missing; give 0, 1, true or false"),
        (
            {"transaction_id": "S1", "is_fraud": "yes"},
            "is_fraud",
            "is_fraud: must be 0, 1, true or false, got 'yes'",
        ),
        (
            [{"transaction_id": "S1", "is_fraud": True}, {"transaction_id": "", "is_fraud": 1}],
            "1.transaction_id",
            "1.transaction_id: must be text of 1 to 200 characters, got ''",
        ),
        (["S1"], "0", "an outcome must be an object"),
    ],
)
def test_an_outcome_that_is_none_is_refused_with_the_field(shared, body, field, error):
    refused = shared.post("/label", body)
    assert refused.status_code == 422
    assert refused.json() == {"error": error, "field": field}


def test_the_card_says_what_the_model_is(shared, published):
    card, info = shared.get("/model").json(), published.info
    assert card["figures"] == json.loads(json.dumps(info["figures"]))
    assert (card["data"]["from"], card["data"]["to"]) == (info["data"]["from"], info["data"]["to"])
    assert card["version"].endswith(info["run_id"][:8])
    assert card["threshold"] == published.model.threshold
    assert {one["name"] for one in card["takes"] if one["needed"]} >= {"amount", "timestamp"}


def test_metrics_are_those_of_prometheus(shared, rows):
    shared.post("/score", rows[13])
    answer = shared.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    for name in (
        'fraud_ae_requests_total{route="/score",status="200"}',
        'fraud_ae_request_seconds_bucket{le="0.05",route="/score"}',
        'fraud_ae_score_bucket{le="0.1"}',
        'fraud_ae_alert_rate_bucket{le="0.05"}',
        'fraud_ae_batch_transactions_bucket{le="1.0"}',
        "fraud_ae_alerts_total",
        "fraud_ae_waiting_transactions",
        'fraud_ae_history{kind="answers"}',
        "fraud_ae_threshold",
        'fraud_ae_model_info{created="',
    ):
        assert name in answer.text, name


@pytest.mark.slow
def test_the_score_and_alert_rate_histograms_count_what_was_scored(serve, rows):
    service = serve()
    results = [
        result
        for start in range(0, 250, 50)
        for result in service.post("/score", rows[start:][:50]).json()
    ]
    assert service.metric("fraud_ae_score_count") == service.stored == 250
    assert service.metric("fraud_ae_score_sum") == pytest.approx(sum(r["score"] for r in results))
    assert service.metric("fraud_ae_alerts_total") == sum(r["alert"] for r in results)
    assert service.metric("fraud_ae_alert_rate_count") == 2
    rates = [np.mean([r["alert"] for r in results[start:][:100]]) for start in (0, 100)]
    assert service.metric("fraud_ae_alert_rate_sum") == pytest.approx(sum(rates))


def content(route: dict, status: str) -> dict:
    """The JSON that a route answers with."""
    return route["responses"][status]["content"]["application/json"]


def test_the_documentation_has_real_examples(shared):
    document = shared.get("/openapi.json").json()
    assert document["components"]["securitySchemes"]["key"]["name"] == "X-API-Key"
    paths = {path: next(iter(methods.values())) for path, methods in document["paths"].items()}
    bare = ("/alerts", "/thresholds", "/metrics")
    assert set(paths) == {"/score", "/label", "/reload", "/health", "/ready", "/model", *bare}
    for path in ("/score", "/label"):
        body = paths[path]["requestBody"]["content"]["application/json"]
        response = shared.post(path, body["examples"]["one"]["value"]).json()
        example = content(paths[path], "200")["examples"]["one"]["value"]
        assert set(response) == set(example)
        assert response["transaction_id"] == example["transaction_id"]
        assert {"400", "401", "408", "413", "422", "503"} <= set(paths[path]["responses"])
    for path, route in paths.items():
        for status in route["responses"]:
            if path not in bare or status != "200":
                assert {"example", "examples"} & set(content(route, status)), (path, status)
    error = content(paths["/score"], "422")["example"]
    assert error["field"] == "amount"
    assert error["error"].startswith("amount: must be a number")
    page = shared.get("/docs").text
    assert "http://" not in page
    assert "https://" not in page


def test_errors_and_probes(shared):
    assert shared.get("/health").json() == {"status": "ok"}
    ready = shared.get("/ready")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")
    missing = shared.get("/nothing")
    assert (missing.status_code, set(missing.json())) == (404, {"error"})
    wrong = shared.get("/score")
    assert (wrong.status_code, set(wrong.json())) == (405, {"error"})
    assert wrong.headers["allow"] == "POST"
    bad = shared.get("/alerts?day=yesterday")
    assert (bad.status_code, bad.json()["field"]) == (422, "day")
    assert shared.get("/alerts?threshold=nan").json()["field"] == "threshold"
    for day in ("9999-12-31", "0001-01-01", "1899-12-31", "99999999999999", "1e300", "NaN", "-1"):
        bad = shared.get(f"/alerts?day={day}")
        assert (bad.status_code, bad.json()["field"]) == (422, "day"), day
    for day in ("9999-12-30", "1900-01-01"):
        assert shared.get(f"/alerts?day={day}").json()["alerts"] == []


def test_pages_of_other_sites_cannot_post(shared, rows):
    for origin in ("cross-site", "same-site"):
        refused = shared.post("/score", rows[20], headers={"Sec-Fetch-Site": origin})
        assert refused.status_code == 403
    assert shared.post("/score", rows[20], headers={"Sec-Fetch-Site": "same-origin"}).ok
    assert "access-control-allow-origin" not in shared.get("/health").headers


def test_the_key_is_asked_for_where_there_are_data(shared, rows):
    without, wrong = {"X-API-Key": None}, {"X-API-Key": f"not {KEY}"}
    for path in ("/health", "/ready", "/", "/pages/review.js", "/swagger/swagger-ui.css"):
        assert shared.get(path, headers=without).status_code == 200, path
    for headers, status in ((without, 401), (wrong, 401), ({}, 200)):
        page = shared.get("/docs", headers=headers)
        assert (page.status_code, "key.js" in page.text) == (status, True)
    for path in ("/model", "/metrics", "/alerts", "/thresholds", "/openapi.json", "/nothing"):
        assert shared.get(path, headers=without).status_code == 401, path
    for path in ("/score", "/label", "/reload"):
        assert shared.post(path, rows[0], headers=without).status_code == 401, path
        refused = shared.post(path, rows[0], headers=wrong)
        assert refused.status_code == 401
        assert "X-API-Key" in refused.json()["error"]


def test_what_is_printed_at_the_start_says_where_to_go(shared, model):
    assert f"review   {shared.url}/" in shared.printed
    assert f"docs     {shared.url}/docs" in shared.printed
    assert f"threshold {FraudDetector.load(model).threshold:.6g}" in shared.printed
    assert " transactions, " in shared.printed


def test_another_model_is_loaded_and_a_bad_one_is_not(shared, shared_models, rows):
    first = shared.post("/score", rows[30]).json()
    link_production(shared_models, "second")
    assert shared.post("/reload").json()["model"] == shared.get("/model").json()["version"]
    second = shared.post("/score", rows[31]).json()
    assert second["model"].startswith("small second")
    assert second["threshold"] == shared.metric("fraud_ae_threshold") == 1e9
    # A result stays as it was given.
    assert shared.post("/score", rows[30]).json() == {**first, "repeated": True}
    route = shared.get("/openapi.json").json()["paths"]["/score"]["post"]
    assert content(route, "200")["examples"]["one"]["value"]["threshold"] == 1e9

    damaged = shutil.copytree(shared_models / "first", shared_models / "damaged")
    weights = damaged / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x00")
    for name in ("damaged", "nowhere"):
        link_production(shared_models, name)
        refused = shared.post("/reload")
        assert refused.status_code == 409
        assert f"the model stays {second['model']}" in refused.json()["error"]
        assert "\n" not in refused.json()["error"]
    assert shared.post("/score", rows[32]).json()["model"] == second["model"]
    assert shared.metric('fraud_ae_reloads_total{result="refused"}') == 2
    assert shared.metric('fraud_ae_reloads_total{result="taken"}') == 1
    link_production(shared_models, "first")
    assert shared.post("/reload").json()["model"] == first["model"]


@pytest.mark.promise(4)
@pytest.mark.slow
def test_a_service_starts_with_the_history_of_its_model(serve, model_with_history, validation):
    detector = FraudDetector.load(model_with_history)
    service = serve(model=model_with_history)
    assert service.stored > 1000
    assert f"{detector.history.last:%Y-%m-%d}" in service.printed
    # New transactions of known customers, with ids of their own: the model remembers the old ones.
    later = validation.tail(20).drop(columns="is_fraud")
    later = later.assign(
        timestamp=later["timestamp"] + pd.Timedelta(days=9),
        transaction_id=[f"L{i}" for i in range(20)],
    )
    scores = [result["score"] for result in service.post("/score", plain(later, "L")).json()]
    expected = detector.predict_anomaly_scores(later)
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)
