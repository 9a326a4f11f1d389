"""What a model remembers of its training data, and what is said of it."""

import numpy as np
import pandas as pd
import pytest

from fraud_ae.data.source_format import SourceFormat
from fraud_ae.detector.trailing_history import TRAILING_HISTORY, TrailingHistory
from fraud_ae.detector.usual_shares import unusual, usual_shares, warning
from fraud_ae.features import Behavioural

NAMES = ("transaction_id", "customer_id", "timestamp", "amount", "is_fraud")
FORMAT = SourceFormat({name: name for name in NAMES})
WITHOUT_IDS = SourceFormat({name: name for name in NAMES} | {"transaction_id": None})


def history(dataset, source_format: SourceFormat = FORMAT) -> TrailingHistory:
    return TrailingHistory.of(dataset.transactions, Behavioural(), source_format)


def test_it_is_what_later_features_look_back_to_and_no_more(dataset):
    remembered = history(dataset)
    assert 0 < len(remembered) <= len(dataset.transactions)
    later = dataset.transactions.tail(50).assign(
        timestamp=lambda rows: rows["timestamp"] + pd.Timedelta(days=8),
        transaction_id=lambda rows: "L" + rows["transaction_id"],
    )
    strategy = Behavioural().fit(dataset.transactions)
    whole, found = (
        strategy.generate_features(pd.concat([earlier, later], ignore_index=True)).tail(50)
        for earlier in (dataset.transactions, remembered.transactions)
    )
    for name in whole.select_dtypes("float"):
        np.testing.assert_allclose(found[name], whole[name], rtol=1e-6, atol=1e-6)


def test_it_is_saved_and_read(dataset, tmp_path):
    saved = history(dataset)
    saved.save(tmp_path)
    assert (tmp_path / TRAILING_HISTORY).is_file()
    loaded = TrailingHistory.load(tmp_path, FORMAT)
    pd.testing.assert_frame_equal(loaded.transactions, saved.transactions)
    assert TrailingHistory.load(tmp_path / "none", FORMAT) is None


@pytest.mark.promise(3)
def test_without_ids_only_what_lies_before_counts(dataset):
    new = dataset.transactions.tail(100)
    assert not set(history(dataset).before(new)["transaction_id"]) & set(new["transaction_id"])
    numbered = history(dataset, WITHOUT_IDS)
    assert numbered.before(new)["timestamp"].max() < new["timestamp"].min()
    assert numbered.transactions["transaction_id"].str.startswith("history ").all()


def test_a_gap_before_what_it_remembers_is_named(dataset):
    remembered = history(dataset)
    assert remembered.gap(remembered.last + pd.Timedelta(days=1), 5) is None
    assert "may be incomplete" in remembered.gap(remembered.last, 5)


@pytest.mark.parametrize(
    ("count", "rows", "usual", "expected"),
    [(208, 1000, 0.05, True), (50, 1000, 0.05, False), (8, 40, 0.05, False), (0, 3000, 0.05, True)],
)
def test_an_unusual_share_is_seen(count, rows, usual, expected):
    assert unusual(count, rows, usual) == expected


def test_the_warning_names_the_likely_reason():
    usual = {"alert_rate": 0.05, "new_customers": 0.02}
    assert warning(50, 20, 1000, usual, "look") is None
    found = warning(208, 900, 1000, usual, "fraud-ae drift new.csv looks further")
    assert "20.8% alerts, where the model was made for 5.0%" in found
    assert "90.0% of the transactions are of customers without earlier ones" in found
    assert found.endswith("fraud-ae drift new.csv looks further")
    assert "as well known as usual" in warning(208, 20, 1000, usual, "look")


def test_usual_shares_are_those_of_the_held_out_rows(dataset):
    held_out = dataset.transactions.tail(500).assign(score=np.linspace(0, 1, 500))
    shares = usual_shares(dataset.transactions, held_out, threshold=0.9)
    assert shares["alert_rate"] == pytest.approx(0.1, abs=0.003)
    assert 0 <= shares["new_customers"] < 0.5
