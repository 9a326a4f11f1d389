"""Several keys: roles, rates, and files of keys that are none."""

import time
from pathlib import Path

import pytest
import yaml

from fraud_ae.errors import UserError
from fraud_ae.serving.errors import RequestRefused
from fraud_ae.serving.http.keys import ApiKey, read_keys
from tests.commands import run
from tests.serving.running import COLD, KEY, RunningService, plain

pytestmark = pytest.mark.slow

KEYS = {
    "gateway": {"key": "of-the-gateway", "roles": ["score"], "rate": 0.001},
    "reviewers": {"key": "of-the-reviewers", "roles": ["read", "label"]},
    "deployment": {"key": "of-the-deployment", "roles": ["reload"]},
}


@pytest.fixture(scope="module")
def service(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    file = folder / "keys.yaml"
    file.write_text(yaml.safe_dump(KEYS))
    file.chmod(0o600)
    variables = {"FRAUD_AE_API_KEYS": str(file), "FRAUD_AE_API_KEY": KEY}
    service = RunningService(model, folder, command=COLD, **variables)
    yield service
    assert service.stop() == 0
    for secret in (KEY, *(one["key"] for one in KEYS.values())):
        assert secret not in service.printed


def key(name: str) -> dict:
    return {"headers": {"X-API-Key": KEYS[name]["key"]}}


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_a_key_may_come_as_a_bearer_token(service, scheme):
    token = KEYS["reviewers"]["key"]
    asked = {"headers": {"Authorization": f"{scheme} {token}"}}
    assert service.get("/metrics", **asked).status_code == 200
    assert service.post("/score", {}, **asked).status_code == 403
    for wrong in (f"Basic {token}", token, f"{scheme} {token}x", f"{scheme} "):
        refused = service.get("/metrics", headers={"Authorization": wrong})
        assert refused.status_code == 401, wrong


@pytest.mark.promise("A4")
def test_each_key_may_do_what_its_roles_say(service, validation):
    row = plain(validation.iloc[[0]], "K")[0]
    outcome = {"transaction_id": "K0", "is_fraud": False}
    asked = {
        "score": [("POST", "/score", row)],
        "label": [("POST", "/label", outcome)],
        "read": [("GET", f"/{p}", None) for p in ("alerts", "thresholds", "model", "metrics")]
        + [("GET", "/openapi.json", None)],
        "reload": [("POST", "/reload", None)],
    }
    for name, settings in KEYS.items():
        for role, requests in asked.items():
            for method, path, body in requests:
                answer = service.ask(method, path, json=body, **key(name))
                if role in settings["roles"]:
                    assert answer.status_code == 200, (name, path, answer.text)
                else:
                    assert answer.status_code == 403, (name, path)
                    roles = ", ".join(sorted(settings["roles"]))
                    error = f"the key '{name}' may {roles}, not {role}"
                    assert answer.json() == {"error": error}
    for requests in asked.values():
        for method, path, body in requests:
            everything = {"X-API-Key": KEY}
            assert service.ask(method, path, json=body, headers=everything).ok, path
            assert service.ask(method, path, json=body).status_code == 401, path


@pytest.mark.promise("A4")
def test_a_key_is_asked_to_wait_above_its_rate_and_others_are_not(service, validation):
    rows = plain(validation.iloc[:2], "R")
    service.post("/score", rows[0], **key("gateway"))
    refused = service.post("/score", rows[1], **key("gateway"))
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 1000
    assert refused.json() == {"error": "more than 0.001 requests a second with the key 'gateway'"}
    assert service.post("/score", rows[1], headers={"X-API-Key": KEY}).ok
    assert service.get("/model", **key("reviewers")).ok


def test_after_the_time_that_it_is_told_a_key_may_ask_again():
    key = ApiKey("gateway", ("score",), rate=50.0)
    for _ in range(50):
        key.check("score")
    key.charge(10_000)
    with pytest.raises(RequestRefused) as refused:
        key.check("score")
    assert 190 <= refused.value.retry_after <= 201
    key = ApiKey("gateway", ("score",), rate=50.0)
    key.charge(90)
    with pytest.raises(RequestRefused) as refused:
        key.check("score")
    assert (refused.value.status, refused.value.retry_after) == (429, 1)
    time.sleep(refused.value.retry_after)
    key.check("score")


def test_a_list_counts_as_its_transactions(model, tmp_path, validation):
    file = tmp_path / "keys.yaml"
    file.write_text("batch: {key: of-a-batch, roles: [score], rate: 0.01}\n")
    file.chmod(0o644)
    service = RunningService(model, tmp_path / "service", "--keys", str(file))
    try:
        service.key = "of-a-batch"
        rows = plain(validation.iloc[:100], "B")
        assert service.post("/score", rows).ok
        refused = service.post("/score", rows[0])
        assert refused.status_code == 429
        assert 5_000 < int(refused.headers["retry-after"]) <= 10_000
        assert "everybody on this machine can read these keys" in service.printed
    finally:
        service.stop()


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "must have an entry"),
        ("- a\n", "must have an entry"),
        ("a: hidden\n", "a: must have key, roles and perhaps rate"),
        ("a: {key: hidden, roles: [score], rates: 1}\n", "a: must have key, roles"),
        ("a: {key: hidden}\n", "a: roles must be a list of score, label, read, reload"),
        ("a: {key: hidden, roles: [admin]}\n", "a: roles must be"),
        ("a: {key: hidden, roles: score}\n", "a: roles must be"),
        ("a: {key: 9876, roles: [score]}\n", "a: a key must be text"),
        ("a: {key: hidden key, roles: [score]}\n", "a: a key must be text"),
        ("a: {key: hidden, roles: [score], rate: 0}\n", "a: rate must be"),
        ("a: {key: hidden, roles: [score], rate: .inf}\n", "a: rate must be"),
        ("a: {key: hidden, roles: [score], rate: yes}\n", "a: rate must be"),
        ("a: {key: h, roles: [score]}\nb: {key: h, roles: [read]}\n", "b: a has the same key"),
        ("a: {key: hidden\n  , ]\n", "line 2: not YAML"),
        ("a: {key: \x00hidden}\n", "not YAML"),
    ],
)
def test_a_file_that_holds_no_keys_is_refused_without_showing_any(tmp_path, text, error):
    file = tmp_path / "keys.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=error) as refused:
        read_keys(file, None)
    assert "hidden" not in str(refused.value)
    assert "9876" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_file_of_keys_ends_in_one_line(model, tmp_path):
    options = ("--port", "0", "--keys", "nothing.yaml")
    printed = run("-m", "fraud_ae", "serve", f"--model={model}", *options, cwd=tmp_path, code=2)
    assert printed.startswith("error: nothing.yaml: the keys cannot be read (No such file")
    assert len(printed.splitlines()) == 1


def test_a_key_on_the_command_line_is_warned_of_and_the_variable_named(serve):
    warned = serve("--api-key", "on-the-line")
    assert "can read --api-key in the list of processes" in warned.printed
    assert "FRAUD_AE_API_KEY" in warned.printed
    assert "on-the-line" not in warned.printed


def test_a_key_of_the_variable_is_in_no_list_of_processes(service):
    shown = Path(f"/proc/{service.process.pid}/cmdline").read_bytes().decode()
    assert "serve" in shown
    assert KEY not in shown
    assert "list of processes" not in service.printed
