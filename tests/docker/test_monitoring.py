"""Alerts and dashboard, by promtool and by a real Prometheus that watches a real service."""

import json
import re
import shutil
import socket
import subprocess
import time

import pytest
import requests
import yaml
from prometheus_client.parser import text_string_to_metric_families

from fraud_ae.data.input_schema import InputSchema
from tests.commands import ROOT
from tests.serving.running import KEY, RunningService

MONITORING = ROOT / "docker" / "monitoring"
DASHBOARD = json.loads((MONITORING / "fraud_ae.json").read_text())
QUERIES = [t["expr"] for panel in DASHBOARD["panels"] for t in panel["targets"]]
RULES = yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"][0]["rules"]
ALERTS = [rule["expr"] for rule in RULES]
# Of Prometheus itself, for each that is scraped.
UP = {"up": {"job", "instance"}}


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed; it is in Debian's package prometheus")
    return found


@pytest.mark.scale
@pytest.mark.parametrize(
    "check",
    [
        ("check", "config", "--syntax-only", "prometheus.yml"),
        ("check", "rules", "alerts.yml"),
        ("test", "rules", "alerts_test.yml"),
    ],
    ids=" ".join,
)
def test_promtool_finds_nothing(check):
    done = subprocess.run(
        [program("promtool"), *check], cwd=MONITORING, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tested_where_it_fires():
    tests = yaml.safe_load((MONITORING / "alerts_test.yml").read_text())["tests"]
    fired = {a["alertname"] for t in tests for a in t["alert_rule_test"] if a["exp_alerts"]}
    assert fired == {rule["alert"] for rule in RULES}


@pytest.fixture(scope="module")
def service(model, tmp_path_factory):
    """A service of which each route has been asked, and one in vain."""
    service = RunningService(model, tmp_path_factory.mktemp("watched"), FRAUD_AE_API_KEY=KEY)
    service.key = KEY
    ask_all(service, model)
    yield service
    assert service.stop() == 0


def ask_all(service: RunningService, model) -> None:
    example = InputSchema.load(model).example
    outcome = {"transaction_id": example["transaction_id"], "is_fraud": False}
    assert service.post("/score", example).ok
    assert service.post("/label", outcome).ok
    assert service.post("/reload").ok
    assert service.post("/score", {}).status_code == 422


def exposed(text: str) -> dict[str, set[str]]:
    """Names of what is exposed, each with its labels and those of Prometheus."""
    labels: dict[str, set[str]] = dict(UP)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels.setdefault(sample.name, {"job", "instance"}).update(sample.labels)
    return labels


@pytest.mark.slow
def test_dashboard_and_alerts_name_only_what_the_service_exposes(service):
    labels = exposed(service.get("/metrics").text)
    for query in QUERIES + ALERTS:
        names = set(re.findall(r"\bfraud_ae_\w+|\bup\b", re.sub(r'"[^"]*"', '""', query)))
        assert names, query
        assert names <= set(labels), query
        for name, selectors in re.findall(r"\b(fraud_ae_\w+|up)\{([^}]*)\}", query):
            assert set(re.findall(r"(\w+)(?:=~|!=|=)", selectors)) <= labels[name], query
        for grouped in re.findall(r"\bby \(([^)]*)\)", query):
            asked = {label.strip() for label in grouped.split(",")}
            assert any(asked <= labels[name] for name in names), query


@pytest.mark.scale
def test_a_real_prometheus_answers_every_query(service, model, tmp_path):
    config = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    config["global"] |= dict.fromkeys(config["global"], "1s")
    config["rule_files"] = [str(MONITORING / "alerts.yml")]
    (job,) = config["scrape_configs"]
    del job["dns_sd_configs"]
    job["static_configs"] = [{"targets": [f"127.0.0.1:{service.port}"]}]
    key = tmp_path / "prometheus-key"
    key.write_text(KEY)
    job["authorization"]["credentials_file"] = str(key)
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"127.0.0.1:{free.getsockname()[1]}"
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [
                program("prometheus"),
                f"--config.file={tmp_path / 'prometheus.yml'}",
                f"--storage.tsdb.path={tmp_path / 'data'}",
                f"--web.listen-address={url}",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        waiting, until = list(QUERIES), time.monotonic() + 60
        while waiting:
            assert time.monotonic() < until, (waiting, (tmp_path / "log").read_text())
            time.sleep(0.5)
            waiting = [query for query in waiting if not answered(url, query)]
        for query in ALERTS:
            answered(url, query)
        groups = requests.get(f"http://{url}/api/v1/rules", timeout=10).json()["data"]["groups"]
        health = {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}
        assert health == {rule["alert"]: "ok" for rule in RULES}
    finally:
        process.terminate()
        process.wait(timeout=30)


def answered(url: str, query: str) -> bool:
    """Whether a query gives series by now; it must give no error."""
    try:
        answer = requests.get(f"http://{url}/api/v1/query", params={"query": query}, timeout=10)
    except requests.ConnectionError:
        return False
    if answer.status_code == 503:  # It starts.
        return False
    assert answer.status_code == 200, (query, answer.text)
    return bool(answer.json()["data"]["result"])
