"""Keys of the environment are in no record, log, report, answer or list of processes."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.commands import run, start
from tests.serving.running import COLD, RunningService

WANDB_KEY = "5ec4e7" * 6 + "abcd"
SERVICE_KEY = "nobody-may-see-this-service-key"
KEYS = {"WANDB_API_KEY": WANDB_KEY, "FRAUD_AE_API_KEY": SERVICE_KEY}
TINY = (
    "experiment=shop",
    "data.n_transactions=2000",
    "features=baseline",
    "scorer=reconstruction",
    "model.hidden_sizes=[8]",
    "trainer.max_epochs=1",
    "stages=[features,production]",
    "gate.force=true",
    'overrides.production=["candidate=features_01"]',
)


def holding(folder: Path) -> list[Path]:
    """The files below a folder, links and names included, that hold a key."""
    secrets = [secret.encode() for secret in KEYS.values()]
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return [
        path
        for path in folder.rglob("*")
        if any(secret in os.fsencode(path) for secret in secrets)
        or (path.is_file() and any(secret in path.read_bytes() for secret in secrets))
    ]


def command_lines_of(pid: int) -> bytes:
    """The command lines of a process and all below it, as everybody on the machine sees them."""
    lines = b""
    try:
        lines += Path(f"/proc/{pid}/cmdline").read_bytes()
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                lines += command_lines_of(int(child))
    except (FileNotFoundError, ProcessLookupError):
        # It has ended.
        pass
    return lines


@pytest.mark.promise("A5")
@pytest.mark.slow
def test_no_command_writes_prints_or_passes_on_a_key(tmp_path):
    process = start("pipeline.py", *TINY, "wandb.mode=offline", cwd=tmp_path, **KEYS)
    seen = b""
    while process.poll() is None:
        seen += command_lines_of(process.pid)
        time.sleep(0.2)
    printed, _ = process.communicate()
    assert process.returncode == 0, printed
    assert b"pipeline.py" in seen
    model = tmp_path / "outputs" / "shop" / "models" / "production"
    printed += run("train.py", *TINY[:-3], "seed=3", cwd=tmp_path, **KEYS)
    for command in (["models"], ["compare"], ["report"]):
        printed += run("-m", "fraud_ae", *command, cwd=tmp_path, **KEYS)
    service = RunningService(model, tmp_path / "served", command=COLD, **KEYS)
    try:
        seen += command_lines_of(service.process.pid)
        assert service.get("/model").status_code == 401
        service.key = SERVICE_KEY
        for path in ("/model", "/metrics", "/openapi.json", "/thresholds", "/alerts"):
            printed += service.get(path).text
        service.process.send_signal(signal.SIGHUP)
    finally:
        service.stop()
    printed += service.printed
    assert b"serve" in seen
    # Offline runs of W&B lie below outputs/ too.
    assert list(tmp_path.glob("outputs/*/runs/*/wandb/offline-run-*/run-*.wandb"))
    assert holding(tmp_path) == []
    for secret in KEYS.values():
        assert secret not in printed
        assert secret.encode() not in seen


TRAIN, PIPELINE, RETRAIN = ["train.py"], ["pipeline.py"], ["-m", "fraud_ae", "retrain"]


@pytest.mark.parametrize(
    ("command", "setting", "told"),
    [
        (TRAIN, "wandb.entity=${oc.env:WANDB_API_KEY}", "holds the value of WANDB_API_KEY"),
        (PIPELINE, "data.seed=1${oc.env:FRAUD_AE_API_KEY}", "holds the value of FRAUD_AE_API_KEY"),
        (PIPELINE, f"wandb.project={WANDB_KEY}", "the command line: holds the value of WANDB_API"),
        (RETRAIN, f"wandb.project={WANDB_KEY}", "the command line: holds the value of WANDB_API"),
        (TRAIN, "experiment=${oc.env:WANDB_API_KEY}", "holds the value of WANDB_API_KEY"),
    ],
)
def test_a_setting_that_holds_a_key_is_refused_and_not_shown(tmp_path, command, setting, told):
    (tmp_path / "here.txt").touch()
    printed = run(*command, setting, cwd=tmp_path, code=2, **KEYS)
    assert told in printed
    assert "Traceback" not in printed
    assert WANDB_KEY not in printed
    assert SERVICE_KEY not in printed
    assert holding(tmp_path) == []


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("wandb:\n  entity: ${oc.env:WANDB_API_KEY}\n", "wandb.entity: holds the value of WANDB"),
        ("data:\n  seed: 1${oc.env:FRAUD_AE_API_KEY}\n", "1$FRAUD_AE_API_KEY"),
    ],
)
def test_a_file_of_settings_that_holds_a_key_is_refused_and_not_shown(tmp_path, option, told):
    (tmp_path / "own" / "experiment").mkdir(parents=True)
    text = f"# @package _global_\n{option}"
    (tmp_path / "own" / "experiment" / "mine.yaml").write_text(text)
    given = ("--config-dir", "own", "+experiment@_global_=mine")
    printed = run("train.py", *given, cwd=tmp_path, code=2, **KEYS)
    assert told in printed
    assert WANDB_KEY not in printed
    assert SERVICE_KEY not in printed
    assert holding(tmp_path) == []
