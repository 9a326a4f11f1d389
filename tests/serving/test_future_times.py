"""Times that have not come to pass, and clocks that jump: neither changes the scores of others."""

import numpy as np
import pandas as pd
import pytest

from fraud_ae.data.values.times import present
from fraud_ae.detector.trailing_history import TrailingHistory
from fraud_ae.features.history import history_of
from tests.clocks import Clock, needs_a_compiler
from tests.serving.running import plain
from tests.serving.test_model import score
from tests.serving.test_store import append
from tests.serving.test_store import history_of as stored_history

CUT = 600
YEAR = 365.0


def ahead(rows: pd.DataFrame, days: float = 300.0) -> pd.DataFrame:
    """The same transactions with ids of their own, as far ahead of the clock of this machine."""
    return rows.assign(
        transaction_id="ahead" + rows["transaction_id"],
        timestamp=(present() + pd.Timedelta(days=days)).as_unit("us"),
    )


@pytest.mark.slow
@pytest.mark.promise("C18")
@pytest.mark.parametrize("wrong", [1, 30, 150])
def test_no_later_score_depends_on_transactions_ahead_of_the_clock(
    served, open_store, tmp_path, transactions, wrong
):
    later = transactions.iloc[CUT : CUT + 40]
    scores = []
    for name in ("right", "wrong"):
        store = open_store(tmp_path / f"{name}.db")
        store.fill(transactions.iloc[:CUT])
        if name == "wrong":
            some = transactions.iloc[np.resize(np.arange(CUT, CUT + 40), wrong)]
            some = some.assign(transaction_id=[f"W{n}" for n in range(wrong)])
            append(store, ahead(some))
        store.prune()
        rows = [
            score(served, later.iloc[[n]].drop(columns="is_fraud"), store)[0] for n in range(40)
        ]
        store.prune()
        scores.append([row.score for row in rows])
    assert scores[0] == scores[1]


def test_the_transaction_before_is_kept_though_one_ahead_of_the_clock_came(
    open_store, transactions
):
    """However long ago it was: the one ahead is not the customer's last."""
    store, first = open_store(), transactions.iloc[[0]]
    others = transactions[transactions["customer_id"] != first["customer_id"].iloc[0]]
    append(store, first)
    append(store, ahead(first))
    late = others["timestamp"] + pd.Timedelta(days=400)
    append(store, others.assign(timestamp=late).iloc[-300:])
    store.prune()
    new = first.assign(transaction_id="new", timestamp=late.iloc[-1])
    assert first["transaction_id"].iloc[0] in set(stored_history(store, new)["transaction_id"])


def test_a_history_that_ends_with_a_wrong_time_is_kept_whole(open_store, tmp_path, transactions):
    wrong = pd.concat([transactions, ahead(transactions.iloc[[-1]], 60_000)], ignore_index=True)
    right, other = (open_store(tmp_path / f"{name}.db") for name in ("right", "wrong"))
    assert other.fill(wrong) == right.fill(transactions) + 1


def test_a_model_remembers_the_same_though_its_data_end_with_a_wrong_time(served, transactions):
    detector = served.detector
    wrong = pd.concat([transactions, ahead(transactions.iloc[[-1]], 60_000)], ignore_index=True)
    kept, with_wrong = (
        TrailingHistory.of(rows, detector.strategy, detector.source_format)
        for rows in (transactions, wrong)
    )
    assert history_of(detector.strategy).days > 0
    assert len(with_wrong) == len(kept) + 1
    assert with_wrong.last == kept.last
    pd.testing.assert_frame_equal(with_wrong.transactions.iloc[:-1], kept.transactions)


def test_the_newest_result_has_come_to_pass(open_store, transactions):
    store = open_store()
    append(store, ahead(transactions.iloc[:1]))
    assert store.review.counts()["newest"] > present()
    append(store, transactions.iloc[:5])
    assert store.review.counts()["newest"] == transactions["timestamp"].iloc[4]


@pytest.mark.slow
@needs_a_compiler
def test_a_service_whose_clock_jumps_answers_as_one_whose_clock_does_not(
    serve, validation, history, tmp_path
):
    rows = plain(validation.iloc[:30])
    usual = serve("--history", str(history))
    expected = [usual.post("/score", row).json() for row in rows]
    usual.stop()
    usual.store.unlink()
    (tmp_path / "clock").mkdir()
    clock = Clock(tmp_path / "clock")
    service = serve("--history", str(history), environment=clock.environment)
    answers = []
    for number, row in enumerate(rows):
        clock.set((0, 30 * YEAR, -30 * YEAR)[number % 3])
        response = service.post("/score", row)
        assert response.status_code == 200, response.text
        answers.append(response.json())
    assert answers == expected
    assert service.post("/score", rows).json() == [{**a, "repeated": True} for a in expected]
    clock.set(0)
    far = {**rows[0], "transaction_id": "far", "timestamp": "2100-01-01T00:00:00Z"}
    assert service.post("/score", far).status_code == 422
