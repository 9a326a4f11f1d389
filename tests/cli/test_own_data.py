"""`python train.py` on a table of the user's own."""

import re

import numpy as np
import pandas as pd
import pytest

from fraud_ae.data.sources import synthetic
from tests.commands import finished_runs, run

TINY = ("data.n_transactions=2000", "trainer.max_epochs=2", "wandb.mode=disabled")
SMALL = (*TINY, "scorer=reconstruction")


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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.promise(14)
@pytest.mark.slow
def test_validation_rows_without_fraud_are_told_before_anything_is_trained(tmp_path):
    table = shop_file(tmp_path / "shop.csv")
    late = np.arange(len(table)) > 0.55 * len(table)
    table.assign(chargeback=table["chargeback"].mask(late, 0)).to_csv(
        tmp_path / "shop.csv", index=False
    )
    own = (*SHOP, "data.path=shop.csv", "experiment=shop")
    failed = run("pipeline.py", *own, "wandb.mode=disabled", cwd=tmp_path, fails=True)
    assert "error: validation has 0 frauds in " in failed
    assert "data.split.fractions" in failed
    assert "Traceback" not in failed
    assert not finished_runs(tmp_path / "outputs" / "shop")
