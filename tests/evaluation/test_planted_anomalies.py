import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from fraud_ae.data.columns import REQUIRED
from fraud_ae.errors import UserError
from fraud_ae.evaluation.planted_anomalies import KINDS, anomaly_kinds, planted
from fraud_ae.evaluation.planted_figures import compare_planted, planted_by_kind, planted_figures


@pytest.fixture(scope="module")
def transactions(dataset) -> pd.DataFrame:
    return dataset.transactions


@pytest.fixture(scope="module")
def last_rows(transactions) -> np.ndarray:
    return np.arange(len(transactions)) >= 1500


@pytest.fixture(scope="module")
def anomalies(transactions, last_rows) -> dict:
    return {anomaly.kind: anomaly for anomaly in planted(transactions, last_rows, most=60)}


@pytest.mark.promise(9)
def test_every_kind_is_planted_where_its_columns_are(anomalies, transactions):
    assert list(anomalies) == list(KINDS)
    assert "device never seen" not in anomaly_kinds(transactions.drop(columns="device"))
    without_times = anomaly_kinds(transactions, has_times=False)
    assert set(KINDS) - set(without_times) == {"at 3 o'clock", "6 purchases in minutes"}


def test_originals_stay_and_copies_lie_beside_them(anomalies, transactions, last_rows):
    for anomaly in anomalies.values():
        frame = anomaly.transactions
        assert frame["timestamp"].is_monotonic_increasing
        as_they_are = frame[frame["transaction_id"].isin(transactions["transaction_id"])]
        pd.testing.assert_frame_equal(as_they_are.reset_index(drop=True), transactions)
        copies = frame.iloc[anomaly.copies]
        originals = transactions.iloc[anomaly.originals]
        ids = originals["transaction_id"] + " planted"
        assert copies["transaction_id"].tolist() == ids.tolist()
        assert last_rows[anomaly.originals].all()
        assert originals["customer_id"].is_unique


def test_a_copy_differs_in_what_was_planted_alone(anomalies, transactions):
    changed = {
        "amount 10 to 20 times": {"amount"},
        "at 3 o'clock": {"timestamp"},
        "30 items": {"quantity"},
        "6 purchases in minutes": set(),
    }
    for kind, columns in changed.items():
        anomaly = anomalies[kind]
        copies = anomaly.transactions.iloc[anomaly.copies].reset_index(drop=True)
        originals = transactions.iloc[anomaly.originals].reset_index(drop=True)
        differ = {c for c in originals if not copies[c].equals(originals[c])}
        assert differ == columns | {"transaction_id"}
    burst = anomalies["6 purchases in minutes"]
    assert len(burst.transactions) == len(transactions) + 6 * len(burst.copies)
    ratio = (
        anomalies["amount 10 to 20 times"]
        .transactions["amount"]
        .iloc[anomalies["amount 10 to 20 times"].copies]
        .to_numpy()
        / transactions["amount"].iloc[anomalies["amount 10 to 20 times"].originals].to_numpy()
    )
    assert ratio.min() > 9.9
    assert ratio.max() < 20.1


def test_the_same_transactions_give_the_same_copies(anomalies, transactions, last_rows):
    again = {anomaly.kind: anomaly for anomaly in planted(transactions, last_rows, most=60)}
    for kind, anomaly in anomalies.items():
        pd.testing.assert_frame_equal(again[kind].transactions, anomaly.transactions)
        assert again[kind].copies.tolist() == anomaly.copies.tolist()


def test_columns_of_the_sources_own_are_planted_in(transactions, last_rows):
    further = transactions[list(REQUIRED)].assign(
        v1=np.linspace(-1, 1, len(transactions)), kind_of_card="gold"
    )
    found = {anomaly.kind: anomaly for anomaly in planted(further, last_rows)}
    numbers = found["number out of range"]
    assert (numbers.transactions["v1"].iloc[numbers.copies] > 1.5).all()
    cards = found["further category never seen"]
    assert not cards.transactions["kind_of_card"].iloc[cards.copies].isin(["gold"]).any()


def test_nothing_to_plant_in_is_said():
    frame = pd.DataFrame(
        {
            "transaction_id": ["a", "b"],
            "timestamp": pd.to_datetime(["2024-01-01", "2024-01-02"], utc=True),
        }
    )
    with pytest.raises(UserError, match="none of the anomalies that can be planted"):
        list(planted(frame, np.array([True, True]), has_times=False))


@pytest.fixture
def scored() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    kinds = [None] * 300 + ["a"] * 40 + ["b"] * 60
    score = rng.normal(size=400) + np.repeat([0.0, 2.0, 0.5], [300, 40, 60])
    return pd.DataFrame(
        {
            "kind": pd.Series(kinds, dtype="str"),
            "transaction_id": [str(n) for n in range(400)],
            "customer_id": rng.integers(0, 80, 400).astype(str),
            "score": score.astype(np.float32),
        }
    )


def test_the_figure_is_the_mean_over_kinds_of_scikit_learns(scored):
    aucs = {}
    for kind in ("a", "b"):
        rows = scored[scored["kind"].isna() | (scored["kind"] == kind)]
        aucs[kind] = roc_auc_score(rows["kind"].notna(), rows["score"])
    figures = planted_figures(scored, 100)
    assert figures["planted_auc"] == pytest.approx(np.mean(list(aucs.values())))
    assert figures["planted_auc_low"] < figures["planted_auc"] < figures["planted_auc_high"]
    by_kind = planted_by_kind(scored, threshold=1.0).set_index("kind")
    assert by_kind["auc"].to_dict() == pytest.approx(aucs)
    assert by_kind["copies"].to_dict() == {"a": 40, "b": 60}
    above = scored["score"] > 1.0
    assert by_kind.loc["a", "alerted"] == pytest.approx(above[scored["kind"] == "a"].mean())


def test_two_scores_are_compared_on_the_same_draws(scored):
    same = compare_planted(scored, scored["score"].to_numpy(), replicates=50)
    assert (same["difference"], same["low"], same["high"]) == (0, 0, 0)
    worse = compare_planted(scored, np.zeros(len(scored)), replicates=50)
    figures = planted_figures(scored, 10)
    assert worse["difference"] == pytest.approx(figures["planted_auc"] - 0.5)
    assert 0 < worse["low"] < worse["difference"] < worse["high"]


def test_one_customer_gives_no_interval(scored):
    figures = planted_figures(scored.assign(customer_id="one"), 10)
    assert figures["planted_auc"] is not None
    assert figures["planted_auc_low"] is None
