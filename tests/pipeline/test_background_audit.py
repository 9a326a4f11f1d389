"""The audit that a pipeline makes of the strategy that won."""

import pytest

from fraud_ae.audit.stored import read_audits
from fraud_ae.pipeline import background_audit
from fraud_ae.pipeline.background_audit import BackgroundAudit
from fraud_ae.runtime.workers import Workers

LEAKY = """
from fraud_ae.features import Baseline


class Peeking(Baseline):
    columns = (*Baseline.columns, "customer_id", "is_fraud")

    def generate_features(self, df):
        later = df["amount"][::-1].groupby(df["customer_id"][::-1]).shift()[::-1]
        return super().generate_features(df).assign(next_amount=later)
"""


@pytest.fixture
def audited(compose, tmp_path, monkeypatch, capsys):
    """Audits a strategy in the folder of the test; gives what was printed."""
    monkeypatch.chdir(tmp_path)

    def audit(name: str, *overrides: str) -> str:
        BackgroundAudit(name, compose(*overrides), Workers(1)).finish()
        return capsys.readouterr().out

    return audit


def test_a_clean_strategy_is_audited_once(audited, tmp_path):
    assert audited("temporal", "features=temporal") == "leak audit of temporal: 6 checks passed\n"
    kept = read_audits(tmp_path / "outputs" / "small")
    assert [finding["passed"] for finding in kept["temporal"]["findings"]] == [True] * 6
    assert audited("temporal", "features=temporal") == ""
    # Other data, another audit.
    assert audited("temporal", "features=temporal", "data.seed=3") != ""


def test_a_leak_is_named_with_the_command_that_shows_it(audited, tmp_path, monkeypatch):
    (tmp_path / "peeking.py").write_text(LEAKY)
    monkeypatch.syspath_prepend(tmp_path)
    own = ("features._target_=peeking.Peeking", "allowed_modules=[peeking]")
    told = audited("peeking", "features=temporal", *own)
    assert told.startswith("LEAK AUDIT of peeking: ")
    assert "next_amount" in told
    assert "fraud-ae audit peeking" in told


@pytest.mark.parametrize("customers", [True, False], ids=["customers", "no customers"])
def test_of_a_long_table_some_customers_are_audited(dataset, monkeypatch, customers):
    monkeypatch.setattr(background_audit, "_MOST_ROWS", 500)
    transactions = dataset.transactions
    if not customers:
        transactions = transactions.drop(columns="customer_id")
    some = background_audit._some_customers(transactions)
    assert 250 < len(some) < 800
    assert some["timestamp"].is_monotonic_increasing
    if customers:
        kept = transactions[transactions["customer_id"].isin(some["customer_id"])]
        assert kept["transaction_id"].tolist() == some["transaction_id"].tolist()
