"""What a running service answers."""

import json

import numpy as np
import pandas as pd
import pytest

from fraud_ae.detector.detector import FraudDetector
from tests.serving.running import plain


@pytest.fixture(scope="module")
def rows(validation):
    """Transactions of the validation period with ids of this file."""
    changed = validation.assign(transaction_id=[f"S{n}" for n in range(len(validation))])
    return plain(changed.drop(columns="is_fraud"))


def test_a_transaction_gets_its_answer_and_a_list_gets_a_list(shared, model, rows):
    one = shared.post("/score", rows[0])
    assert one.status_code == 200
    assert one.headers["content-type"] == "application/json"
    answer = one.json()
    assert list(answer) == [
        *("transaction_id", "score", "alert", "threshold", "reasons", "model", "repeated")
    ]
    threshold = FraudDetector.load(model).threshold
    assert answer["threshold"] == threshold
    assert answer["alert"] == (answer["score"] > threshold)
    several = shared.post("/score", rows[1:4]).json()
    assert [one["transaction_id"] for one in several] == ["S1", "S2", "S3"]
    assert shared.post("/score", rows[1:2]).json() == [{**several[0], "repeated": True}]
    assert shared.post("/score", []).json() == []


def test_the_same_id_gets_the_same_answer_and_counts_once(shared, rows):
    before = shared.metric('fraud_ae_history{kind="transactions"}')
    repeated = shared.metric("fraud_ae_repeated_transactions_total")
    first, second = shared.post("/score", [rows[10], rows[10]]).json()
    assert not first["repeated"]
    assert second == {**first, "repeated": True}
    assert shared.metric('fraud_ae_history{kind="transactions"}') == before + 1
    assert shared.metric("fraud_ae_repeated_transactions_total") == repeated + 1


def test_other_values_of_an_id_are_refused_unless_they_replace_it(shared, rows):
    row = {**rows[10], "transaction_id": "changed"}
    shared.post("/score", row)
    refused = shared.post("/score", {**row, "amount": 1e6})
    assert refused.status_code == 409
    assert "amount is 1000000.0, and was" in refused.json()["error"]
    assert refused.json()["field"] == "transaction_id"
    replaced = shared.post("/score?replace=true", {**row, "amount": 1e6}).json()
    assert not replaced["repeated"]
    assert shared.post("/score", {**row, "amount": 1e6}).json() == {**replaced, "repeated": True}


def test_an_alert_tells_its_reasons(shared, rows):
    odd = {**rows[11], "amount": 50_000.0, "device": "a new one", "quantity": 900.0}
    answer = shared.post("/score", {**odd, "transaction_id": "odd"}).json()
    assert answer["alert"]
    assert answer["reasons"]
    for reason in answer["reasons"]:
        assert set(reason) == {"text", "subject", "features", "share"}
        assert 0 < reason["share"] <= 1
        assert len(reason["text"]) > 3


def test_outcomes_are_kept_one_or_a_list_known_or_not(shared, rows):
    shared.post("/score", rows[12])
    kept = shared.post("/label", {"transaction_id": "S12", "is_fraud": 1})
    assert kept.json() == {"transaction_id": "S12", "is_fraud": True, "known": True}
    several = [{"transaction_id": name, "is_fraud": False} for name in ("S12", "never seen")]
    assert [one["known"] for one in shared.post("/label", several).json()] == [True, False]
    assert shared.metric('fraud_ae_labels_total{is_fraud="1"}') >= 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"transaction_id": "S1"}, "is_fraud"),
        ({"is_fraud": True}, "transaction_id"),
        ({"transaction_id": "S1", "is_fraud": "yes"}, "is_fraud"),
        ({"transaction_id": "", "is_fraud": True}, "transaction_id"),
        ([{"transaction_id": "S1", "is_fraud": True}, {"transaction_id": "S1"}], "1.is_fraud"),
        (["S1"], "0"),
    ],
)
def test_an_outcome_that_is_none_is_refused_with_the_field(shared, body, field):
    refused = shared.post("/label", body)
    assert refused.status_code == 422
    assert refused.json()["field"] == field


def test_probes(shared):
    assert shared.get("/health").json() == {"status": "ok"}
    ready = shared.get("/ready")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")


def test_the_card_says_what_the_model_is(shared, published):
    card, info = shared.get("/model").json(), published.info
    assert card["figures"] == json.loads(json.dumps(info["figures"]))
    assert card["data"]["from"] == info["data"]["from"]
    assert card["data"]["to"] == info["data"]["to"]
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
def test_the_score_and_alert_rate_histograms_count_what_was_scored(serve, model, rows):
    service = serve()
    answers = [
        one
        for start in range(0, 250, 50)
        for one in service.post("/score", rows[start:][:50]).json()
    ]
    assert service.metric("fraud_ae_score_count") == 250
    assert service.metric("fraud_ae_score_sum") == pytest.approx(sum(a["score"] for a in answers))
    assert service.metric("fraud_ae_alerts_total") == sum(a["alert"] for a in answers)
    assert service.metric("fraud_ae_alert_rate_count") == 2
    rates = [np.mean([a["alert"] for a in answers[start:][:100]]) for start in (0, 100)]
    assert service.metric("fraud_ae_alert_rate_sum") == pytest.approx(sum(rates))
    assert service.metric('fraud_ae_history{kind="transactions"}') == 250


def test_the_documentation_has_real_examples(shared):
    document = shared.get("/openapi.json").json()
    assert set(document["paths"]) == {
        *("/score", "/label", "/reload", "/health", "/ready", "/model", "/metrics"),
        *("/alerts", "/thresholds"),
    }
    for path in ("/score", "/label"):
        post = document["paths"][path]["post"]
        given = post["requestBody"]["content"]["application/json"]["examples"]["one"]["value"]
        told = post["responses"]["200"]["content"]["application/json"]["examples"]["one"]["value"]
        found = shared.post(path, given).json()
        assert set(found) == set(told)
        assert found["transaction_id"] == told["transaction_id"]
        assert {"400", "408", "413", "422", "503"} <= set(post["responses"])
    for path, methods in document["paths"].items():
        for route in methods.values():
            assert all(
                "example" in content or "examples" in content
                for status, response in route["responses"].items()
                for content in response["content"].values()
                if path not in ("/alerts", "/thresholds", "/metrics") or status != "200"
            )
    example = document["paths"]["/score"]["post"]["responses"]["422"]["content"]
    told = example["application/json"]["example"]
    assert told["field"] == "amount"
    assert told["error"].startswith("amount: must be a number")
    page = shared.get("/docs").text
    assert "http://" not in page
    assert "https://" not in page


def test_what_is_not_there_and_other_methods_are_told_in_the_same_shape(shared):
    missing = shared.get("/nothing")
    assert (missing.status_code, set(missing.json())) == (404, {"error"})
    wrong = shared.get("/score")
    assert (wrong.status_code, set(wrong.json())) == (405, {"error"})
    assert wrong.headers["allow"] == "POST"
    bad = shared.get("/alerts?day=yesterday")
    assert (bad.status_code, bad.json()["field"]) == (422, "day")
    assert shared.get("/alerts?threshold=nan").json()["field"] == "threshold"


def test_pages_of_other_sites_cannot_post(shared, rows):
    for origin in ("cross-site", "same-site"):
        refused = shared.post("/score", rows[20], headers={"Sec-Fetch-Site": origin})
        assert refused.status_code == 403
    assert shared.post("/score", rows[20], headers={"Sec-Fetch-Site": "same-origin"}).ok
    assert "access-control-allow-origin" not in shared.get("/health").headers


def test_the_key_is_asked_for_where_there_are_data(serve, rows):
    service = serve(FRAUD_AE_API_KEY="secret")
    for path in ("/health", "/ready", "/", "/docs", "/pages/review.js", "/swagger/swagger-ui.css"):
        assert service.get(path).status_code == 200, path
    closed = ("/model", "/metrics", "/alerts", "/thresholds", "/openapi.json", "/nothing")
    for path in closed:
        assert service.get(path).status_code == 401, path
    for path in ("/score", "/label", "/reload"):
        assert service.post(path, rows[0]).status_code == 401, path
        wrong = service.post(path, rows[0], headers={"X-API-Key": "other"})
        assert wrong.status_code == 401
        assert "X-API-Key" in wrong.json()["error"]
    service.key = "secret"
    assert service.post("/score", rows[0]).status_code == 200
    document = service.get("/openapi.json").json()
    assert document["components"]["securitySchemes"]["key"]["name"] == "X-API-Key"
    assert "secret" not in service.printed


def test_what_is_printed_at_the_start_says_where_to_go(shared, model, history):
    printed = shared.printed
    assert f"review   {shared.url}/" in printed
    assert f"docs     {shared.url}/docs" in printed
    assert f"threshold {FraudDetector.load(model).threshold:.6g}" in printed
    assert " transactions, " in printed


@pytest.mark.slow
def test_a_service_starts_with_what_its_model_remembers(serve, remembering, validation):
    detector = FraudDetector.load(remembering)
    service = serve(model=remembering)
    assert service.metric('fraud_ae_history{kind="transactions"}') > 1000
    assert f"{detector.history.last:%Y-%m-%d}" in service.printed
    later = (
        validation.tail(20)
        .drop(columns="is_fraud")
        .assign(
            transaction_id=[f"L{n}" for n in range(20)],
            timestamp=lambda rows: rows["timestamp"] + pd.Timedelta(days=9),
        )
    )
    answers = service.post("/score", plain(later)).json()
    found = [answer["score"] for answer in answers]
    np.testing.assert_allclose(found, detector.predict_anomaly_scores(later), rtol=1e-4, atol=1e-5)
