"""Shares of alerts and of new customers that are far from what a model was made for are said."""

import numpy as np
import pandas as pd
import pytest

from fraud_ae.detector.detector import FraudDetector
from fraud_ae.detector.usual_shares import ShareWatch, new_customers, warning

USUAL = {"alert_rate": 0.05, "new_customers": 0.02}


@pytest.mark.parametrize(
    ("alerts", "new", "rows", "said"),
    [
        (50, 20, 1000, None),
        (90, 20, 1000, None),
        (8, 3, 40, None),
        (208, 900, 1000, "20.8% alerts, where the model was made for 5.0%; 90.0% of the"),
        (208, 20, 1000, "20.8% alerts, where the model was made for 5.0%; the customers are as"),
        (0, 20, 1000, "0.0% alerts"),
        (50, 200, 1000, "20.0% of the transactions are of customers without earlier ones"),
        (208, None, 1000, "20.8% alerts"),
    ],
)
def test_what_is_far_from_usual_is_said(alerts, new, rows, said):
    note = warning(alerts, new, rows, USUAL, "fraud-ae drift FILE")
    assert note is None if said is None else said in note
    assert note is None or note.endswith(": fraud-ae drift FILE")


def test_transactions_that_come_one_by_one_are_looked_at_together():
    watch = ShareWatch(USUAL, "look", rows=100)
    assert [watch.add(1, 0, 1) for _ in range(99)] == [None] * 99
    assert "100.0% alerts" in watch.add(1, 0, 1)
    # They are counted anew after that.
    assert [watch.add(0, 0, 1) for _ in range(99)] == [None] * 99


def test_a_new_customer_has_no_earlier_transaction():
    frame = pd.DataFrame({"customer_id": list("abacb")})
    assert new_customers(frame, np.array([1, 2, 3])) == 2
    assert new_customers(frame.rename(columns={"customer_id": "x"}), np.array([1])) is None


@pytest.mark.promise(4)
def test_alerts_of_a_frame_of_strangers_are_explained(model, dataset, caplog):
    detector = FraudDetector.load(model)
    last = dataset.transactions.tail(300)
    strangers = last.assign(customer_id="X" + last["transaction_id"])
    detector.predict(last)
    assert "without earlier ones" not in caplog.text
    detector.predict(strangers)
    assert "100.0% of the transactions are of customers without earlier ones" in caplog.text
    assert len(detector.predict(last.head(0))) == 0
