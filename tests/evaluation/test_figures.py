from dataclasses import fields

import numpy as np
import pandas as pd
import pytest

from fraud_ae.configuration.schemas import MetricsConfig, ThresholdConfig
from fraud_ae.errors import UserError
from fraud_ae.evaluation.alerting import (
    card_precision,
    daily_precision,
    recall_at_false_positive_rate,
    value_caught,
)
from fraud_ae.evaluation.bootstrap import bootstrap_intervals
from fraud_ae.evaluation.custom_metrics import RUN_FACTS, check_metrics
from fraud_ae.evaluation.figures import Evaluation
from fraud_ae.evaluation.metrics import alert_metrics, ranking_metrics
from fraud_ae.evaluation.threshold import ThresholdPolicy

QUICK = Evaluation(replicates=20)


def scored(n: int = 1500, seed: int = 0) -> pd.DataFrame:
    """Transactions of 100 customers on 15 days, some of whom are known to be compromised."""
    rng = np.random.default_rng(seed)
    is_fraud = (rng.random(n) < 0.1).astype(np.int8)
    us = rng.integers(0, 15 * 86_400_000_000, n)
    return pd.DataFrame(
        {
            "transaction_id": pd.Series(range(n)).astype("str"),
            "customer_id": pd.Series(rng.integers(0, 100, n)).astype("str"),
            "timestamp": pd.to_datetime(us, unit="us", utc=True).as_unit("us"),
            "amount": rng.exponential(30, n),
            "is_fraud": is_fraud,
            "score": (rng.normal(size=n) + is_fraud).astype(np.float32),
            "is_known_compromised": rng.random(n) < 0.2,
        }
    )


def test_each_figure_is_that_of_its_function():
    rows = scored()
    labels, scores = rows["is_fraud"].to_numpy(), rows["score"].to_numpy()
    intervals = bootstrap_intervals(labels, scores, rows["customer_id"], replicates=20)
    ranking = ranking_metrics(labels, scores)
    assert QUICK.figures(rows, 1.0) == {
        "final_auc": ranking["auc"],
        "final_auc_low": intervals["auc"][0],
        "final_auc_high": intervals["auc"][1],
        "average_precision": ranking["average_precision"],
        "average_precision_low": intervals["average_precision"][0],
        "average_precision_high": intervals["average_precision"][1],
        **alert_metrics(labels, scores, 1.0),
        "recall_at_1pct_fpr": recall_at_false_positive_rate(labels, scores, 0.01),
        "daily_precision_at_100": daily_precision(rows, 100),
        "card_precision_at_100": card_precision(rows, 100),
        "value_caught": value_caught(rows, 1.0),
    }


def test_figures_lie_within_their_intervals():
    found = QUICK.figures(scored(), 1.0)
    for name in ("final_auc", "average_precision"):
        assert found[f"{name}_low"] < found[name] < found[f"{name}_high"]
    more = Evaluation(replicates=40).figures(scored(), 1.0)
    assert more["final_auc_low"] != found["final_auc_low"]


def test_no_metric_of_ones_own_can_have_the_name_of_a_figure():
    figures = QUICK.figures(scored(), 1.0)
    for name in (*figures, "daily_precision_at_5", *RUN_FACTS, "test_auc"):
        with pytest.raises(UserError, match=rf"metrics\.extra\.{name}: .*built-in"):
            check_metrics({name: "math.dist"})
    check_metrics({"cost": "math.dist"})


@pytest.mark.parametrize("top_k", [1, 7])
def test_so_many_are_reviewed_in_a_day_as_the_name_says(top_k):
    rows = scored()
    found = Evaluation(top_k=top_k, replicates=20).figures(rows, 1.0)
    assert found[f"daily_precision_at_{top_k}"] == daily_precision(rows, top_k)
    assert found[f"card_precision_at_{top_k}"] == card_precision(rows, top_k)
    assert "daily_precision_at_100" not in found


@pytest.mark.parametrize("label", [0, 1])
def test_what_needs_both_classes_is_undefined_where_one_is_missing(label):
    found = QUICK.figures(scored().assign(is_fraud=label), 1.0)
    undefined = {name for name, value in found.items() if value is None}
    ranking = {"final_auc", "average_precision"}
    ranking |= {f"{name}_{end}" for name in ranking for end in ("low", "high")}
    ranking |= {"recall_at_1pct_fpr"}
    of_frauds = {"precision", "recall", "f1", "value_caught"}
    of_frauds |= {"daily_precision_at_100", "card_precision_at_100"}
    assert undefined == (ranking if label else ranking | of_frauds)


def test_without_customers_their_figures_are_undefined_and_rows_are_resampled():
    rows = scored().drop(columns="customer_id").assign(is_known_compromised=False)
    found, known = QUICK.figures(rows, 1.0), QUICK.figures(scored(), 1.0)
    assert [name for name, value in found.items() if value is None] == ["card_precision_at_100"]
    assert found["final_auc"] == known["final_auc"]
    labels, scores = rows["is_fraud"].to_numpy(), rows["score"].to_numpy()
    intervals = bootstrap_intervals(labels, scores, rows["transaction_id"], replicates=20)
    assert (found["final_auc_low"], found["final_auc_high"]) == intervals["auc"]


def test_metrics_of_ones_own_come_last(tmp_path, monkeypatch):
    (tmp_path / "own_shares.py").write_text(
        "def highest(y_true, scores):\n    return scores[y_true == 1].max()\n"
        "def broken(y_true, scores):\n    raise RuntimeError('out of cheese')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    rows = scored()
    found = Evaluation(extra={"highest": "own_shares.highest"}, replicates=20).figures(rows, 1.0)
    assert list(found)[-1] == "highest"
    assert found["highest"] == rows["score"][rows["is_fraud"] == 1].max()
    with pytest.raises(UserError, match="out of cheese"):
        Evaluation(extra={"broken": "own_shares.broken"}).figures(rows, 1.0)


def test_the_order_of_the_rows_does_not_matter():
    shuffled = scored().sample(frac=1, random_state=0)
    assert QUICK.figures(shuffled, 1.0) == pytest.approx(QUICK.figures(scored(), 1.0))


def test_the_configuration_has_the_settings_of_the_policy_and_of_the_evaluation():
    def settings(schema) -> dict:
        return {field.name: field.default for field in fields(schema)}

    assert settings(ThresholdConfig) == settings(ThresholdPolicy)
    evaluation = vars(Evaluation())
    assert evaluation.pop("policy") == ThresholdPolicy()
    assert vars(MetricsConfig()) == evaluation
