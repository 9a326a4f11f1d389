"""Columns that say nothing in training, as typed: told, recorded, and without effect on scores."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from fraud_ae.data.sources import synthetic
from fraud_ae.detector.detector import FraudDetector
from tests.commands import fraud_ae, run

NAMES = ("transaction_id", "customer_id", "timestamp", "amount", "device", "is_fraud")
SETTINGS = (
    "experiment=shop",
    "data=custom",
    "data.path=shop.csv",
    "data.extra_columns=[empty,level,useful]",
    "data.extra_categories=[branch]",
    "features=baseline",
    "scorer=reconstruction",
    "model.hidden_sizes=[8]",
    "trainer.max_epochs=1",
    "wandb.mode=disabled",
)

STAGES = (
    "stages=[features,production]",
    "gate.force=true",
    'overrides.production=["candidate=features_01"]',
)


def shop(n: int = 1500) -> pd.DataFrame:
    """A column without values, two that are constant, and one that varies."""
    table = synthetic(n_transactions=n, fraud_ratio=0.1).transactions[list(NAMES)]
    useful = np.random.default_rng(0).normal(size=n)
    return table.assign(empty=np.nan, level=3.5, useful=useful, branch="Berlin")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    shop().to_csv(folder / "shop.csv", index=False)
    return folder


@pytest.mark.promise("B10")
@pytest.mark.slow
def test_they_are_left_out_told_and_recorded_and_change_no_score(folder):
    printed = run("pipeline.py", *SETTINGS, *STAGES, cwd=folder)
    (told,) = {line for line in printed.splitlines() if "left out, with one value" in line}
    assert {"empty", "level", "branch"} <= set(told.partition("rows: ")[2].split(", "))
    assert "useful" not in told
    model = folder / "outputs" / "shop" / "models" / "production"
    info = yaml.safe_load((model / "model_info.yaml").read_text())
    kept = json.loads((model / "encoder.json").read_text())["left_out"]
    assert list(kept) == info["left_out_features"]
    assert (kept["empty"], kept["level"], kept["branch"]) == (None, 3.5, "Berlin")
    assert not set(kept) & set(info["feature_names"])

    detector = FraudDetector.load(model)
    constant = shop()
    varying = constant.assign(
        empty=np.arange(len(constant)) % 7,
        level=np.linspace(-9, 9, len(constant)),
        branch=np.where(np.arange(len(constant)) % 2, "Berlin", "Rome"),
    )
    expected = detector.predict_anomaly_scores(constant)
    np.testing.assert_array_equal(detector.predict_anomaly_scores(varying), expected)
    varying.to_csv(folder / "new.csv", index=False)
    constant.to_parquet(folder / "same.parquet")
    for name in ("new.csv", "same.parquet"):
        fraud_ae("score", name, "--model", str(model), "-o", f"{name}.scored.csv", cwd=folder)
        scored = pd.read_csv(folder / f"{name}.scored.csv")
        np.testing.assert_allclose(scored["score"], expected, rtol=1e-5, atol=1e-7)
    reasons = fraud_ae("explain", "new.csv", "--model", str(model), cwd=folder)
    assert "level" not in reasons
    # What varies now, and did not, is told by the drift check.
    drift = fraud_ae("drift", "new.csv", "--model", str(model), cwd=folder, code=1)
    assert "level" in drift


def test_a_table_of_nothing_but_constants_is_refused_in_one_line(folder):
    table = shop(600).assign(amount=5.0, device="phone")
    table["timestamp"] = pd.date_range("2024-01-01", periods=600, freq="7D", tz="UTC")
    table["customer_id"] = "C1"
    path = folder / "constant.csv"
    table.drop(columns="useful").to_csv(path, index=False)
    printed = run(
        "train.py",
        *(s for s in SETTINGS if "extra" not in s and "path" not in s),
        "data.path=constant.csv",
        "data.split.label_delay_days=0",
        "experiment=constant",
        cwd=folder,
        code=2,
    )
    (error,) = [line for line in printed.splitlines() if line.startswith("error:")]
    assert "every feature has one value in all training rows" in error
    assert "amount" in error
    assert "Traceback" not in printed
