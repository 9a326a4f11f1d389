"""Studies in a real PostgreSQL, which several experiments share."""

import json
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import closing

import optuna
import pytest
from sqlalchemy.pool import NullPool

from tests.commands import run, run_cold, start
from tests.disturbed.killing import needs_linux
from tests.postgresql import PostgreSQL, needs_postgresql
from tests.sweeps.studies.study_results import STUDIES

pytestmark = [pytest.mark.scale, pytest.mark.slow, needs_postgresql, needs_linux]
TINY = (
    *("data.n_transactions=2000", "model.hidden_sizes=[8]", "wandb.mode=disabled"),
    *("features=baseline,combined", "scorer=reconstruction"),
)
SWEEP = ("train.py", "-m", "stage=features", *TINY, "trainer.max_epochs=2")


@pytest.fixture(scope="module")
def server():
    with PostgreSQL() as server:
        yield server


@pytest.fixture
def password(server, monkeypatch):
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)


def trials(url: str) -> dict[str, list[tuple]]:
    """Name of each study -> value and parameters of its trials."""
    storage = optuna.storages.RDBStorage(url, engine_kwargs={"poolclass": NullPool})
    found = {
        study.study_name: [(t.value, t.params) for t in storage.get_all_trials(study._study_id)]
        for study in storage.get_all_studies()
    }
    storage.remove_session()
    return {name: sorted(rows, key=str) for name, rows in found.items()}


def test_experiments_share_a_database_and_one_that_is_killed_goes_on(server, password, tmp_path):
    storage = server.database("shared")
    told = f"optuna.storage={storage}"
    killed = start(
        *SWEEP, told, "experiment=killed", "seed=1,2,3", cwd=tmp_path, **server.environment
    )
    other = start(*SWEEP, told, "experiment=other", cwd=tmp_path, **server.environment)
    for _ in range(600):
        if list(tmp_path.glob("outputs/killed/hydra/*/*/*/result.json")):
            break
        time.sleep(0.1)
    killed.kill()
    killed.communicate()
    printed, _ = other.communicate(timeout=120)
    assert other.returncode == 0, printed
    run(*SWEEP, told, "experiment=killed", "seed=1,2,3", cwd=tmp_path, **server.environment)
    run(*SWEEP, "experiment=killed", "seed=1,2,3", "outputs_dir=alone", cwd=tmp_path)
    run(*SWEEP, "experiment=other", "outputs_dir=alone", cwd=tmp_path)
    shared = trials(storage)
    for experiment, count in (("killed", 6), ("other", 2)):
        assert not (tmp_path / "outputs" / experiment / STUDIES).exists()
        alone = trials(f"sqlite:///{tmp_path}/alone/{experiment}/{STUDIES}")
        found = {name: rows for name, rows in shared.items() if name.startswith(f"{experiment}: ")}
        assert {name.removeprefix(f"{experiment}: "): rows for name, rows in found.items()} == alone
        assert [len(rows) for rows in found.values()] == [count]
    assert len(shared) == 2


def test_a_sweep_outlives_its_database_and_the_same_command_adds_the_trials(
    server, password, tmp_path
):
    storage = server.database("lost")
    told = (f"optuna.storage={storage}", "experiment=lost", "seed=1,2,3")
    process = start(*SWEEP, *told, cwd=tmp_path, **server.environment)
    for _ in range(600):
        if list(tmp_path.glob("outputs/lost/hydra/*/*")):
            break
        time.sleep(0.1)
    server.stop()
    try:
        printed, _ = process.communicate(timeout=300)
        assert process.returncode == 0, printed
        assert f"{storage}: no trial can be written" in printed
        assert "the same command adds the trials" in printed
        refused = run_cold(*SWEEP, *told, cwd=tmp_path, fails=True, **server.environment)
        assert refused.startswith(f"error: optuna.storage={storage}: ")
        assert len(refused.splitlines()) == 1
    finally:
        server.start()
    run(*SWEEP, *told, cwd=tmp_path, **server.environment)
    ((_, rows),) = trials(storage).items()
    assert len(rows) == 6


def test_the_dashboard_shows_the_studies(server, password, tmp_path):
    storage = server.database("shown")
    run(*SWEEP, f"optuna.storage={storage}", "experiment=shown", cwd=tmp_path, **server.environment)
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from optuna_dashboard._cli import main; main()", storage]
    dashboard = subprocess.Popen([*command, "--host", "127.0.0.1", "--port", str(port)])
    try:
        address = f"http://127.0.0.1:{port}/api/studies"
        for _ in range(150):
            try:
                with urllib.request.urlopen(address) as answer:
                    (study,) = json.load(answer)["study_summaries"]
                break
            except OSError:
                time.sleep(0.2)
        assert study["study_name"].startswith("shown: features final_auc ")
    finally:
        dashboard.kill()
        dashboard.wait()


@pytest.mark.parametrize(
    ("storage", "message"),
    [
        ("postgresql://shop:secret-word@127.0.0.1/x", "holds a password"),
        ("postgresql://127.0.0.1/x?user=shop&password=secret-word", "holds a password"),
        ("mysql://shop@127.0.0.1/x", "must be postgresql://USER@HOST/NAME"),
        ("postgresql://shop@127.0.0.1:1/x", "onnection refused"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(tmp_path, storage, message):
    printed = run_cold(
        *SWEEP, f"'optuna.storage=\"{storage}\"'".strip("'"), cwd=tmp_path, fails=True
    )
    assert message in printed
    assert len(printed.splitlines()) == 1
    assert "secret-word" not in printed
    assert not list(tmp_path.glob("outputs/*/runs/*"))


def test_a_wrong_password_is_refused(server, tmp_path):
    storage = server.database("closed")
    printed = run_cold(
        *SWEEP, f"optuna.storage={storage}", cwd=tmp_path, fails=True, PGPASSWORD="x"
    )
    assert printed.startswith(f"error: optuna.storage={storage}: ")
    assert "password authentication failed" in printed
