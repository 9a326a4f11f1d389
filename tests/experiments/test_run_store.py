import copy
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from filelock import Timeout

from fraud_ae.configuration.job import Job
from fraud_ae.detector.files import MODEL_FILES
from fraud_ae.errors import UserError
from fraud_ae.experiments.identity import features_identity, run_identity
from fraud_ae.experiments.run_store import Run
from fraud_ae.runtime.atomic_files import write_json, write_whole
from fraud_ae.runtime.hashing import identity_hash

ROOT = Path(__file__).resolve().parents[2]
IDENTITY = {"seed": 1, "model": {"latent_dim": 4}}


def id_of(config: dict, fingerprint: str = "f" * 16) -> str:
    job = Job.of_settings(config, {})
    encoded = features_identity(
        fingerprint=fingerprint,
        train_on=job.train_on,
        split=asdict(job.split_settings),
        features=job.strategy_node,
        encoder=job.encoder_settings,
    )
    recipe = {"model": job.model_node, "scorer": job.scorer_node, "seed": job.seed}
    return identity_hash(run_identity(encoded, trainer=asdict(job.trainer), **recipe))


def with_value(config: dict, key: str, value: object) -> dict:
    config = copy.deepcopy(config)
    *parents, last = key.split(".")
    node = config
    for name in parents:
        node = node[name]
    assert node.get(last) != value
    node[last] = value
    return config


@pytest.fixture(scope="module")
def config(compose) -> dict:
    return compose("model=variational", "features=behavioural").settings


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data.path", "/elsewhere/transactions.csv"),
        ("data.name", "elsewhere"),
        ("threshold.percentile", 80.0),
        ("threshold.method", "budget"),
        ("metrics.extra", {"cost": "math.dist"}),
        ("metrics.top_k", 5),
        ("metrics.replicates", 10),
        ("experiment", "another"),
        ("allowed_modules", ["another"]),
        ("objective", "recall"),
        ("retrain", True),
        ("stage.name", "broad"),
        ("stage.tags", ["another"]),
        ("wandb.mode", "online"),
        ("wandb.project", "another"),
        ("production.fit_on", "all"),
        ("trainer.accelerator", "gpu"),
    ],
)
def test_what_does_not_decide_the_weights_is_no_part_of_the_id(config, key, value):
    assert id_of(with_value(config, key, value)) == id_of(config)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", 1),
        ("data.train_on", "all"),
        ("data.split.fractions", [0.5, 0.25, 0.25]),
        ("data.split.label_delay_days", 3.0),
        ("data.split.train_start", "2024-02-01"),
        ("data.split.train_end", "2024-03-01"),
        ("data.split.validation_start", "2024-03-01"),
        ("data.split.validation_end", "2024-03-01"),
        ("data.split.test_start", "2024-03-01"),
        ("data.split.test_end", "2024-03-01"),
        ("features._target_", "fraud_ae.features.Baseline"),
        ("features.windows_days", [1]),
        ("encoder.scaling", "robust"),
        ("encoder.max_categories", 5),
        ("encoder.clip", None),
        ("model._target_", "fraud_ae.models.network.Autoencoder"),
        ("model.hidden_sizes", [8]),
        ("model.latent_dim", 3),
        ("model.activation", "tanh"),
        ("model.norm", "batch"),
        ("model.dropout", 0.1),
        ("model.input_noise", 0.1),
        ("model.kl_weight", 1.0),
        ("model.members", 2),
        ("trainer.max_epochs", 5),
        ("trainer.batch_size", 64),
        ("trainer.learning_rate", 0.01),
        ("trainer.weight_decay", 0.1),
        ("trainer.early_stopping_patience", 2),
        ("trainer.reduce_lr_patience", 2),
        ("trainer.min_delta", 0.1),
        ("scorer._target_", "fraud_ae.scorers.mahalanobis.MahalanobisScorer"),
        ("scorer.cap", 5.0),
    ],
)
def test_what_decides_the_weights_and_scores_changes_the_id(config, key, value):
    assert id_of(with_value(config, key, value)) != id_of(config)


def test_other_transactions_change_the_id(config):
    assert id_of(config, "a" * 16) != id_of(config, "b" * 16)


def test_the_id_does_not_depend_on_the_order_of_keys(config):
    turned = {
        key: dict(reversed(value.items())) if isinstance(value, dict) else value
        for key, value in reversed(config.items())
    }
    assert id_of(turned) == id_of(config)
    assert re.fullmatch("[0-9a-f]{16}", id_of(config))


@pytest.mark.parametrize("module", ["own_strategy", "fraud_ae_of_mine"])
@pytest.mark.parametrize("nested", [False, True])
def test_editing_the_file_of_a_users_own_class_changes_the_id(
    config, tmp_path, monkeypatch, module, nested
):
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / f"{module}.py"
    own = {"_target_": f"{module}.Own"}
    if nested:
        own = {"_target_": "fraud_ae.features.Combined", "parts": {"own": own}}
    config = {**config, "features": own}
    file.write_text("class Own: ...\n")
    before = id_of(config)
    assert id_of(config) == before
    file.write_text("class Own:\n    level = 2\n")
    assert id_of(config) != before


@pytest.mark.parametrize("target", ["no_such_module.Own", "no_such.module.Own"])
def test_a_class_that_is_not_there_is_no_crash(config, target):
    # Building the strategy says what is wrong; a traceback before that would hide it.
    try:
        found = id_of(with_value(config, "features._target_", target))
    except UserError as error:
        assert target in str(error)  # noqa: PT017
    else:
        assert found != id_of(config)


def test_a_run_is_finished_when_its_metrics_are_there(tmp_path):
    run = Run(tmp_path, IDENTITY)
    assert not run.finished
    run.start()
    run.write_history([{"epoch": 1, "val_loss": 0.5}])
    run.write_scores(pd.DataFrame({"transaction_id": ["a"], "is_fraud": [0], "score": [0.5]}))
    run.model_folder.mkdir()
    for name in MODEL_FILES:
        (run.model_folder / name).write_text("")
    assert not run.finished
    kept = {"final_auc": 0.75, "average_precision": None, "train_seconds": 1.0}
    run.finish(kept)
    assert run.finished
    again = Run(tmp_path, IDENTITY)
    assert again.finished
    assert again.metrics() == kept
    assert again.history()["val_loss"].tolist() == [0.5]
    assert not Run(tmp_path, {**IDENTITY, "seed": 2}).finished


def test_the_history_is_read_back_to_the_last_bit(tmp_path):
    run = Run(tmp_path, IDENTITY)
    run.start()
    # A refit follows these learning rates, and has to be the same training.
    rates = (10.0 ** np.random.default_rng(0).uniform(-6, 0, 200)).tolist()
    run.write_history([{"epoch": i, "learning_rate": rate} for i, rate in enumerate(rates)])
    assert run.history()["learning_rate"].tolist() == rates


def test_starting_keeps_what_identifies_the_run(tmp_path):
    run = Run(tmp_path, IDENTITY)
    run.start()
    assert yaml.safe_load((run.folder / "config.yaml").read_text()) == IDENTITY


def test_starting_wipes_what_an_interrupted_run_left(tmp_path):
    run = Run(tmp_path, IDENTITY)
    run.start()
    (run.model_folder / "deeper").mkdir(parents=True)
    (run.model_folder / "deeper" / "weights").write_text("half")
    (run.folder / "history.csv").write_text("half")
    run.start()
    assert [path.name for path in run.folder.rglob("*")] == ["config.yaml"]


def test_starting_a_finished_run_anew_leaves_it_unfinished(tmp_path):
    run = Run(tmp_path, IDENTITY)
    run.start()
    run.finish({})
    run.start()
    assert not run.finished


def test_metrics_that_json_cannot_hold_leave_the_run_unfinished(tmp_path):
    run = Run(tmp_path, IDENTITY)
    run.start()
    with pytest.raises(ValueError, match="JSON"):
        run.finish({"final_auc": float("nan")})
    assert not run.finished


@contextmanager
def process(code: str, *arguments: object):
    """A real process that has printed `ready`; killed at the end."""
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout.readline() == "ready\n"
            yield child
        finally:
            child.kill()


def test_a_second_process_waits_until_the_first_is_gone(tmp_path):
    holder = """
        import json, sys, time
        from pathlib import Path
        from fraud_ae.experiments.run_store import Run

        with Run(Path(sys.argv[1]), json.loads(sys.argv[2])).lock():
            print("ready", flush=True)
            time.sleep(60)
    """
    run = Run(tmp_path / "runs", IDENTITY)
    with process(holder, run.folder.parent, json.dumps(IDENTITY)) as first:
        with pytest.raises(Timeout):
            run.lock().acquire(timeout=0.3)
        with Run(run.folder.parent, {**IDENTITY, "seed": 2}).lock().acquire(timeout=0):
            pass  # another run is not held
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        with run.lock().acquire(timeout=5):
            pass


def test_the_lock_outlives_the_start_of_a_run(tmp_path):
    run = Run(tmp_path, IDENTITY)
    with run.lock():
        run.start()
        with pytest.raises(Timeout):
            Run(tmp_path, IDENTITY).lock().acquire(timeout=0.05)


def test_a_file_is_always_whole_even_if_its_writer_is_killed(tmp_path):
    writer = """
        import sys
        from pathlib import Path
        from fraud_ae.runtime.atomic_files import write_whole

        write_whole(Path(sys.argv[1]), "a" * 4_000_000)
        print("ready", flush=True)
        while True:
            for letter in "ba":
                write_whole(Path(sys.argv[1]), letter * 4_000_000)
    """
    path = tmp_path / "metrics.json"
    seen = set()
    for _ in range(2):
        with process(writer, path) as child:
            for _ in range(60):
                text = path.read_text()
                assert text in ("a" * 4_000_000, "b" * 4_000_000)
                seen.add(text[0])
            os.kill(child.pid, signal.SIGKILL)
            child.wait()
        text = path.read_text()
        assert text in ("a" * 4_000_000, "b" * 4_000_000)
    assert seen == {"a", "b"}


def test_a_failed_write_leaves_the_old_content(tmp_path):
    path = tmp_path / "deeper" / "metrics.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"a": float("inf")})
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "x" * 10_000 + "\ud800")
    assert json.loads(path.read_text()) == {"a": 1}
