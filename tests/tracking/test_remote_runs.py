import json
import subprocess
import sys

import pytest

from fraud_ae.errors import UserError
from tests.commands import ROOT
from tests.tracking.offline_runs import settings_of
from tests.tracking.stand_in import KEY, StandIn, dead_server, run_of_others, silent_server

SCRIPT = """
import dataclasses, json, sys, time
import wandb  # what its import takes is not counted
from fraud_ae.tracking.remote_runs import read_runs

filters, seconds = {"group": "small", "jobType": "features"}, float(sys.argv[1])
started = time.monotonic()
try:
    path, runs = read_runs(None, "ours", filters, seconds)
    answer = {"path": path, "runs": [dataclasses.asdict(run) for run in runs]}
except ConnectionError as error:
    answer = {"error": str(error)}
print(json.dumps({**answer, "seconds": time.monotonic() - started}))
"""


def read(home, url: str, key: str = KEY, seconds: float = 60.0) -> dict:
    """What a process of its own reads from a server within so many seconds."""
    environment = settings_of(home) | {"WANDB_API_KEY": key, "WANDB_BASE_URL": url}
    command = [sys.executable, "-c", SCRIPT, str(seconds)]
    shown = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    return json.loads(shown.stdout.decode().splitlines()[-1])


def test_finished_runs_are_read_with_their_figures_and_who_ran_them(tmp_path):
    data = {"fingerprint": "f1", "validation_set": "v1"}
    config = {"data": data, "features": {"name": "payday"}}
    figures = {"final_auc": 0.91, "best_epoch": 3, "_step": 7, "roc_table": {"_type": "table"}}
    with StandIn().running() as server:
        server.shared = [
            run_of_others("abc", config, figures),
            run_of_others("bare", {}, {}),
            run_of_others("other stage", config, figures, jobType="broad"),
            run_of_others("crashed", config, figures, state="crashed"),
        ]
        found = read(tmp_path, server.url)
    assert found["path"] == "me/ours"
    full, bare = found["runs"]
    assert full["run_id"] == "abc"
    assert (full["experiment"], full["stage"], full["strategy"]) == ("small", "features", "payday")
    assert (full["fingerprint"], full["validation_set"]) == ("f1", "v1")
    assert full["user"] == "ana"
    assert full["url"].startswith(server.url)
    assert full["figures"] == {"final_auc": 0.91, "best_epoch": 3.0}
    assert (bare["strategy"], bare["fingerprint"], bare["figures"]) == ("", None, {})


@pytest.mark.slow
@pytest.mark.parametrize("server", [dead_server, silent_server], ids=["dead", "silent"])
def test_a_server_that_does_not_answer_is_named_within_the_bound(tmp_path, server):
    with server() as url:
        found = read(tmp_path, url, seconds=3.0)
    assert found["error"]
    assert found["seconds"] < 3 + 3


def test_an_error_of_the_server_and_a_missing_key_are_named(tmp_path):
    with StandIn().running() as server:
        server.failing = {"Viewer"}
        assert "500" in read(tmp_path, server.url)["error"]
        assert "key" in read(tmp_path, server.url, key="")["error"]


def test_reading_needs_the_server(compose):
    with pytest.raises(UserError, match="wandb.read=true: .* it needs wandb.mode=online"):
        compose("wandb.read=true")
