"""`python train.py`, as it is typed."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from fraud_ae.data.sources import synthetic
from fraud_ae.detector import FraudDetector
from fraud_ae.run_store import MODEL_FILES
from tests.commands import SHARED_DATA, run

TINY = ("data.n_transactions=2000", "trainer.max_epochs=2", "wandb.mode=disabled")
SMALL = (*TINY, "scorer=reconstruction")


def finished_runs(folder) -> list:
    return sorted(path.parent for path in folder.glob("runs/*/metrics.json"))


def test_one_run_ends_with_its_metrics_and_is_not_trained_again(tmp_path):
    first = run("train.py", *SMALL, cwd=tmp_path)
    last = first.splitlines()[-1]
    figures = dict(pair.split("=") for pair in last.split())
    assert next(iter(figures)) == "final_auc"
    assert {"precision", "recall", "threshold", "best_epoch", "feature_count"} <= set(figures)
    assert "epoch  2/2" in first
    (folder,) = finished_runs(tmp_path / "outputs" / "synthetic")
    kept = json.loads((folder / "metrics.json").read_text())
    assert f"{kept['final_auc']:.4f}" == figures["final_auc"]
    again = run("train.py", *SMALL, cwd=tmp_path)
    assert "not trained again" in again
    assert "epoch" not in again.replace("best_epoch", "")
    assert again.splitlines()[-1] == last
    forced = run("train.py", *SMALL, "retrain=true", cwd=tmp_path)
    assert "epoch  2/2" in forced
    assert forced.splitlines()[-1] == last


def test_another_threshold_is_read_from_the_same_run(tmp_path):
    run("train.py", *SMALL, cwd=tmp_path)
    other = run("train.py", *SMALL, "threshold.percentile=80", cwd=tmp_path)
    assert "not trained again" in other
    assert float(re.search(r"alert_rate=(\S+)", other).group(1)) == pytest.approx(0.2, abs=0.01)
    assert len(finished_runs(tmp_path / "outputs" / "synthetic")) == 1


@pytest.mark.parametrize(
    ("kind", "learned"),
    [
        (("scorer=calibrated", "model.members=2", "data.fraud_ratio=0.1"), {"scorer.skops"}),
        (("scorer=mahalanobis", "model=masked"), set()),
    ],
)
def test_other_models_and_scorers_are_trained_and_kept(tmp_path, kind, learned):
    printed = run("train.py", *TINY, *kind, cwd=tmp_path)
    figures = dict(pair.split("=") for pair in printed.splitlines()[-1].split())
    assert float(figures["final_auc"]) > 0.5
    (folder,) = finished_runs(tmp_path / "outputs" / "synthetic")
    assert {path.name for path in (folder / "model").iterdir()} == {*MODEL_FILES, *learned}
    detector = FraudDetector.load(folder / "model")
    assert detector.threshold == pytest.approx(float(figures["threshold"]), abs=1e-4)


def test_help_names_the_groups_and_the_commands(tmp_path):
    printed = run("train.py", "--help", cwd=tmp_path)
    groups = ("features: baseline, behavioural", "scorer: calibrated, mahalanobis", "wandb:")
    for text in groups:
        assert text in printed
    for command in ("-m 'features=glob(*)'", "-m stage=broad", "python pipeline.py"):
        assert command in printed
    assert "schema" not in printed
    assert all(len(line) <= 80 for line in printed.splitlines())


def test_help_does_not_import_torch(tmp_path):
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    for name in ("torch", "pytorch_lightning", "wandb", "pandas", "sklearn"):
        (blocked / f"{name}.py").write_text("raise SystemExit('imported')\n")
    printed = run("train.py", "--help", cwd=tmp_path, PYTHONPATH=str(blocked))
    assert "imported" not in printed
    mistyped = run("train.py", "seeed=1", cwd=tmp_path, fails=True, PYTHONPATH=str(blocked))
    assert "Did you mean: 'seed'" in mistyped


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("model.latent_dim=0",), "model.latent_dim=0: must be greater than 0"),
        (("objective=final_au",), "did you mean final_auc?"),
        (("metrics.extra.mine=nowhere.metric",), "metrics.extra.mine=nowhere.metric"),
        (
            ("metrics.extra.mine=os.getcwd",),
            "metrics.extra.mine=os.getcwd: must take (y_true, scores)",
        ),
        (("metrics.extra.threshold=os.getcwd",), "built-in figure"),
        (("experiment=../x",), "experiment=../x: must be a plain folder name"),
        (("features=behavioural", "features.windows_days=[]"), "windows_days"),
        (("data=custom",), "data.path=FILE is needed"),
        (("data=custom", "data.path=none.csv"), "none.csv: no such file"),
        (("stage=broad",), "python train.py -m stage=broad"),
        (("stage=production",), "no such candidate"),
        (("data.split.label_delay_days=400",), "data.split.label_delay_days"),
        (("model._target_=nowhere.Net",), "model._target_=nowhere.Net"),
        (("trainer.learning_rate=1e30",), "training diverged"),
    ],
)
def test_what_a_user_can_mend_is_said_without_a_traceback(tmp_path, arguments, message):
    size = () if "data=custom" in arguments else SMALL[:1]
    printed = run("train.py", *size, *arguments, "wandb.mode=disabled", cwd=tmp_path, fails=True)
    assert message in printed
    assert "Traceback" not in printed
    assert not finished_runs(tmp_path / "outputs" / "synthetic")


def shop_file(path, n_transactions: int = 2000) -> pd.DataFrame:
    """A table with names of its own, local times and a few of the optional columns."""
    known = synthetic(n_transactions=n_transactions, seed=5).transactions
    table = pd.DataFrame(
        {
            "order": known["transaction_id"],
            "user": known["customer_id"],
            "when": known["timestamp"].dt.tz_convert("Europe/Paris").astype(str),
            "Amt": known["amount"],
            "chargeback": known["is_fraud"],
            "device": known["device"],
            "payment_method": known["payment_method"],
            "vendor_score": np.arange(n_transactions, dtype=float),
        }
    )
    table.to_csv(path, index=False)
    return table


SHOP = (
    "data=custom",
    "data.columns.transaction_id=order",
    "data.columns.customer_id=user",
    "data.columns.timestamp=when",
    "data.columns.amount=Amt",
    "data.columns.is_fraud=chargeback",
)


def test_any_table_is_mapped_on_the_command_line_and_swept_over(tmp_path):
    shop_file(tmp_path / "shop.csv.gz")
    printed = run(
        "train.py",
        "-m",
        "features=glob(*)",
        *SHOP,
        "data.path=shop.csv.gz",
        "trainer.max_epochs=1",
        "experiment=shop",
        cwd=tmp_path,
    )
    assert "with stage=features" in printed
    assert "not used: vendor_score" in printed
    folder = tmp_path / "outputs" / "shop"
    assert len(finished_runs(folder)) == 5
    board = pd.read_csv(folder / "leaderboards" / "features.csv")
    assert set(board["features"]) == {
        "baseline",
        "temporal",
        "behavioural",
        "demographic_risk",
        "combined",
    }
    assert board["final_auc"].is_monotonic_decreasing
    assert (folder / "conf" / "candidate" / "features_01.yaml").is_file()
    assert (folder / "best_features.yaml").is_file()
    # One W&B run for each training, kept offline.
    assert len(list(folder.glob("runs/*/wandb/offline-run-*/run-*.wandb"))) == 5


def test_a_bad_table_is_told_all_at_once(tmp_path):
    table = shop_file(tmp_path / "shop.csv")
    table["Amt"] = table["Amt"].astype("object")
    table.loc[7, "Amt"] = "lots"
    table.loc[9, "chargeback"] = 3
    table.drop(columns="user").to_csv(tmp_path / "shop.csv", index=False)
    printed = run("train.py", *SHOP, "data.path=shop.csv", cwd=tmp_path, fails=True)
    assert "customer_id: no column 'user'" in printed
    assert re.search(r"amount: 1 bad value: row 7 .*lots", printed)
    assert re.search(r"is_fraud: 1 bad value: row 9 .*3", printed)
    assert "Traceback" not in printed


def test_a_strategy_that_the_data_cannot_feed_is_refused(tmp_path):
    table = shop_file(tmp_path / "bare.csv")
    table[["order", "when", "Amt", "chargeback"]].to_csv(tmp_path / "bare.csv", index=False)
    mapping = [o for o in SHOP if "customer_id" not in o]
    arguments = (*mapping, "data.columns.customer_id=null", "data.path=bare.csv", *SMALL[1:])
    alone = run("train.py", *arguments, "features=behavioural", cwd=tmp_path, fails=True)
    assert "error: " in alone
    assert "customer_id" in alone
    swept = run("train.py", "-m", "features=glob(*)", *arguments, cwd=tmp_path)
    board = pd.read_csv(tmp_path / "outputs" / "custom" / "leaderboards" / "features.csv")
    status = dict(zip(board["features"], board["status"], strict=True))
    assert status["behavioural"] == status["demographic_risk"] == "refused"
    assert status["baseline"] == status["temporal"] == status["combined"] == "finished"
    assert "behavioural refused" in swept


def test_own_metric_is_computed_stored_and_maximised(tmp_path):
    (tmp_path / "shop_metrics.py").write_text(
        "def caught(y_true, scores):\n    return float(y_true[scores.argsort()[-50:]].sum())\n"
    )
    own = ("metrics.extra.caught=shop_metrics.caught", "objective=caught")
    run(
        "train.py",
        "-m",
        "features=baseline,temporal",
        *SMALL[:2],
        *own,
        cwd=tmp_path,
        PYTHONPATH=str(tmp_path),
    )
    folder = tmp_path / "outputs" / "synthetic"
    board = pd.read_csv(folder / "leaderboards" / "features.csv")
    assert board["caught"].is_monotonic_decreasing
    assert board["caught"].max() >= 1
    kept = [json.loads((r / "metrics.json").read_text())["caught"] for r in finished_runs(folder)]
    assert sorted(kept, reverse=True) == board["caught"].tolist()


@pytest.mark.parametrize(
    "damage", ["metrics.json", "validation_scores.parquet", "model/encoder.json"]
)
def test_a_damaged_run_is_told_and_trained_again(tmp_path, damage):
    first = run("train.py", *SMALL, cwd=tmp_path)
    (folder,) = finished_runs(tmp_path / "outputs" / "synthetic")
    if damage == "model/encoder.json":
        (folder / damage).unlink()
    else:
        (folder / damage).write_bytes((folder / damage).read_bytes()[:20])
    again = run("train.py", *SMALL, cwd=tmp_path)
    assert f"run {folder.name} is damaged" in again
    assert again.splitlines()[-1] == first.splitlines()[-1]


def test_a_failing_strategy_of_ones_own_does_not_end_a_sweep(tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "features").mkdir()
    (tmp_path / "own" / "features" / "broken.yaml").write_text("_target_: broken.Broken\n")
    (tmp_path / "broken.py").write_text(
        "class Broken:\n    def generate_features(self, df):\n        return 1 / 0\n"
    )
    swept = run(
        "train.py",
        "--config-dir",
        "own",
        "-m",
        "features=baseline,broken",
        *SMALL,
        cwd=tmp_path,
        PYTHONPATH=str(tmp_path),
    )
    assert "broken refused: Broken fails: ZeroDivisionError" in " ".join(swept.split())
    assert len(finished_runs(tmp_path / "outputs" / "synthetic")) == 1


def test_a_leaderboard_that_cannot_be_written_is_an_error(tmp_path):
    folder = tmp_path / "outputs" / "synthetic"
    folder.mkdir(parents=True)
    (folder / "leaderboards").write_text("in the way")
    printed = run("train.py", "-m", "features=baseline", *SMALL, cwd=tmp_path, fails=True)
    assert "error: the leaderboard or the candidates cannot be written" in printed
    assert len(finished_runs(folder)) == 1


def test_a_diverged_training_does_not_end_a_sweep(tmp_path):
    run("train.py", "-m", "trainer.learning_rate=0.001,1e30", *SMALL, cwd=tmp_path)
    board = pd.read_csv(tmp_path / "outputs" / "synthetic" / "leaderboards" / "single.csv")
    assert board["status"].tolist() == ["finished", "failed"]
    assert "diverged" in board["reason"].iloc[1]


@pytest.mark.slow
@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason=f"real data not there: {SHARED_DATA}")
def test_real_transactions_leave_five_finished_runs(tmp_path):
    path = SHARED_DATA / "ecommerce.csv.gz"
    run("train.py", "-m", "features=glob(*)", "data=ecommerce", f"data.path={path}", cwd=tmp_path)
    assert len(finished_runs(tmp_path / "outputs" / "ecommerce")) == 5


def test_a_metric_that_fails_does_not_lose_the_training(tmp_path):
    (tmp_path / "picky.py").write_text(
        "def needs_a_million(y_true, scores):\n    return y_true[1_000_000]\n"
    )
    own = ("metrics.extra.picky=picky.needs_a_million",)
    failed = run("train.py", *SMALL, *own, cwd=tmp_path, fails=True, PYTHONPATH=str(tmp_path))
    assert "error: metrics.extra.picky=picky.needs_a_million: IndexError" in failed
    assert "not trained again" in run("train.py", *SMALL, cwd=tmp_path)
