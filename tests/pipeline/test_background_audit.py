"""The audit that a pipeline makes of the strategy that won."""

import pytest

from fraud_ae.audit.stored import read_audits
from fraud_ae.errors import LeakRefused
from fraud_ae.pipeline import background_audit
from fraud_ae.pipeline.background_audit import BackgroundAudit
from fraud_ae.runtime.workers.local import LocalWorkers

LEAKY = """
from fraud_ae.features import Baseline


class Peeking(Baseline):
    columns = (*Baseline.columns, "customer_id", "is_fraud")

    def generate_features(self, df):
        later = df["amount"][::-1].groupby(df["customer_id"][::-1]).shift()[::-1]
        return super().generate_features(df).assign(next_amount=later)
"""


TELLING = """
from pathlib import Path

from fraud_ae.features import Baseline


class Known(Baseline):
    columns = (*Baseline.columns, "transaction_id")

    def generate_features(self, df):
        known = df["transaction_id"].isin(Path("frauds.txt").read_text().split())
        return super().generate_features(df).assign(outcome=known.astype("float64"))
"""


@pytest.fixture
def audited(compose, tmp_path, monkeypatch, capsys):
    """Audits a strategy in the folder of the test; gives what was printed."""
    monkeypatch.chdir(tmp_path)

    def audit(name: str, *overrides: str) -> str:
        BackgroundAudit(name, compose(*overrides), LocalWorkers(1)).finish()
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
    peeking = ("peeking", "features=temporal", *own)
    with pytest.raises(LeakRefused) as refused:
        audited(*peeking)
    told = str(refused.value)
    assert told.startswith("LEAK AUDIT of peeking: ")
    assert "next_amount" in told
    assert "fraud-ae audit peeking" in told
    # Nobody may allow a look ahead, and it stays refused without another audit.
    assert "allow_features" not in told
    with pytest.raises(LeakRefused) as again:
        audited(*peeking, "allow_features=[next_amount]")
    assert str(again.value) == told
    monkeypatch.setattr(background_audit, "_findings", None)
    with pytest.raises(LeakRefused) as kept:
        audited(*peeking, "allow_features=[next_amount]")
    assert str(kept.value) == told


def test_what_may_tell_fraud_alone_is_asked_anew_where_another_list_allows_it(
    audited, dataset, tmp_path, monkeypatch
):
    frauds = dataset.transactions["transaction_id"][dataset.transactions["is_fraud"] == 1]
    (tmp_path / "frauds.txt").write_text("\n".join(frauds))
    (tmp_path / "known.py").write_text(TELLING)
    monkeypatch.syspath_prepend(tmp_path)
    telling = ("known", "features=baseline", "features._target_=known.Known")
    for _ in range(2):
        with pytest.raises(LeakRefused, match=r"'allow_features=\[outcome\]'"):
            audited(*telling)
        assert "checks passed" in audited(*telling, "allow_features=[outcome]")


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
