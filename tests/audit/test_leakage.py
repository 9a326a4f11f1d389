"""The leakage audit: honest strategies pass, planted leaks are named."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest

from fraud_ae.audit.leakage import Finding, audit
from fraud_ae.audit.stored import read_audits
from fraud_ae.data.sources import synthetic
from fraud_ae.data.split import split_by_time
from fraud_ae.features import Baseline, Behavioural, Combined, DemographicRisk, Temporal
from tests.commands import ROOT, run_in

STRATEGIES = {
    "baseline": Baseline(),
    "temporal": Temporal(),
    "behavioural": Behavioural(),
    "demographic_risk": DemographicRisk(),
}
STRATEGIES["combined"] = Combined(dict(STRATEGIES))
CHECKS = [
    "truncated history",
    "fitted on truncated history",
    "labels after the delay",
    "shuffled labels",
    "single feature",
    "equal times",
]
SIZE = "data.n_transactions=2000"


@pytest.fixture(scope="module")
def transactions() -> pd.DataFrame:
    return synthetic(n_transactions=4000, fraud_ratio=0.05).transactions


def findings(strategy, transactions, delay: float = 7, **settings) -> dict[str, Finding]:
    split = split_by_time(transactions["timestamp"], label_delay_days=delay)
    found = audit(strategy, transactions, split, label_delay_days=delay, **settings)
    return {finding.check: finding for finding in found}


def failures(strategy, transactions, **settings) -> dict[str, tuple[str, ...]]:
    found = findings(strategy, transactions, **settings)
    return {check: finding.features for check, finding in found.items() if not finding.passed}


class OneFeature:
    """A strategy of one feature, `planted`, beside the amount."""

    def generate_features(self, df):
        return pd.DataFrame({"amount": df["amount"], "planted": self.planted(df)}, index=df.index)


class LaterPurchases(OneFeature):
    def planted(self, df):
        return df.groupby("customer_id").cumcount(ascending=False)


class SoonAgain(OneFeature):
    """Whether the terminal sells again within an hour: it looks ahead, but not far."""

    def planted(self, df):
        following = df.groupby("terminal_id")["timestamp"].shift(-1) - df["timestamp"]
        return (following <= pd.Timedelta(hours=1)).astype("float64")


class NoisyLabel(OneFeature):
    def planted(self, df):
        return df["is_fraud"] + np.random.default_rng(0).normal(0, 0.5, len(df))


class MeanTarget(OneFeature):
    """Target encoding of the training rows, each with its own label and later ones."""

    def fit(self, df):
        self.rates_ = df.groupby("terminal_id")["is_fraud"].mean()

    def planted(self, df):
        return df["terminal_id"].map(self.rates_)


class RememberedLabel(OneFeature):
    """Knows the training rows again: nothing that it shows depends on later rows."""

    def fit(self, df):
        self.labels_ = df.set_index("transaction_id")["is_fraud"]

    def planted(self, df):
        return df["transaction_id"].map(self.labels_).fillna(0.5)


class YoungRate(OneFeature):
    """The fraud rate of the terminal's earlier transactions, however young."""

    def planted(self, df):
        by_terminal = df.groupby("terminal_id")["is_fraud"]
        return (by_terminal.cumsum() - df["is_fraud"]) / by_terminal.cumcount().clip(lower=1)


class KnownOnly(Baseline):
    """Breaks if it is ever shown a row from `end` on."""

    def __init__(self, end):
        self.end = end

    def generate_features(self, df):
        assert (df["timestamp"] < self.end).all()
        return super().generate_features(df)


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_built_in_strategies_pass(name, transactions):
    reported = []
    found = findings(STRATEGIES[name], transactions, report=reported.append)
    assert list(found) == CHECKS
    assert list(found.values()) == reported
    assert not [finding for finding in reported if not finding.passed]


@pytest.mark.parametrize(
    ("strategy", "failing"),
    [
        (LaterPurchases(), ["truncated history", "fitted on truncated history"]),
        (SoonAgain(), ["truncated history", "fitted on truncated history"]),
        (NoisyLabel(), ["labels after the delay", "shuffled labels", "equal times"]),
        (MeanTarget(), ["fitted on truncated history", "labels after the delay"]),
        (RememberedLabel(), ["labels after the delay", "single feature"]),
        (YoungRate(), ["labels after the delay"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_planted_leaks_are_found_by_name(strategy, failing, transactions):
    assert failures(strategy, transactions) == dict.fromkeys(failing, ("planted",))
    assert vars(strategy) == {}


class PlaceInTheDay(OneFeature):
    """How many rows of the same time stand above, which a file sorted by label makes an answer."""

    def planted(self, df):
        return df.groupby("timestamp").cumcount()


@pytest.mark.slow
@pytest.mark.promise(2)
def test_a_feature_that_sees_the_order_of_equal_times_is_found(transactions):
    days = transactions.head(2000)
    days = days.assign(timestamp=days["timestamp"].dt.floor("D"))
    found = findings(PlaceInTheDay(), days, delay=0)["equal times"]
    assert not found.passed
    assert found.features == ("planted",)
    assert "rows of equal time change places" in found.detail
    assert findings(STRATEGIES["combined"], days, delay=0)["equal times"].passed
    times = pd.date_range("2024-01-01", periods=len(transactions), freq="h", tz="UTC", unit="us")
    found = findings(Baseline(), transactions.assign(timestamp=times))["equal times"]
    assert found.detail == "no two transactions share a time"


def test_without_a_delay_a_rows_label_is_found_and_older_ones_are_known(transactions):
    leaking = failures(NoisyLabel(), transactions, delay=0)
    assert leaking["labels after the delay"] == ("planted",)
    assert failures(YoungRate(), transactions, delay=0) == {}


def test_a_delay_shorter_than_that_of_the_split_is_found(transactions):
    found = findings(DemographicRisk(label_delay_days=5), transactions)
    assert [name for name, finding in found.items() if not finding.passed] == [CHECKS[2]]
    assert all(name.startswith("risk_of_") for name in found[CHECKS[2]].features)
    assert re.search(r"risk_of_\w+ in [\d,]+ of [\d,]+ rows", found[CHECKS[2]].detail)
    assert failures(DemographicRisk(label_delay_days=5), transactions, delay=5) == {}


def test_what_separates_alone_is_refused_unless_allowed(transactions):
    is_fraud = transactions["is_fraud"] == 1
    noise = np.random.default_rng(0).normal(size=len(transactions))
    codes = np.where(is_fraud, "x", transactions["device"])
    leaking = transactions.assign(V1=noise - 8 * is_fraud, device=codes)
    finding = findings(Baseline(), leaking)["single feature"]
    assert not finding.passed
    assert set(finding.features) == {"V1", "device"}
    assert "V1 (ROC AUC " in finding.detail
    allowed = findings(Baseline(), leaking, allowed=["V1", "device", "absent"])["single feature"]
    assert allowed.passed
    assert "allowed: V1 (" in allowed.detail


def test_few_frauds_cannot_tell(transactions):
    labels = np.zeros(len(transactions), dtype="int8")
    labels[[100, 200, 3000]] = 1
    found = findings(Baseline(), transactions.assign(is_fraud=labels, V1=1.0 * labels))
    for check in ("shuffled labels", "single feature"):
        assert found[check].passed
        assert found[check].detail.startswith("cannot tell")


def test_rows_of_the_test_period_are_not_read(transactions):
    split = split_by_time(transactions["timestamp"])
    strategy = KnownOnly(split.validation_end)
    found = audit(strategy, transactions, split, label_delay_days=7)
    known = transactions[split.before_test(transactions)]
    assert audit(strategy, known, split, label_delay_days=7) == found


def test_data_with_required_columns_only_or_without_any_value_of_a_feature(transactions):
    bare = transactions[["timestamp", "amount", "is_fraud"]]
    assert failures(Temporal(), bare) == {}
    once = transactions.assign(customer_id=transactions["transaction_id"], V1=np.nan)
    assert failures(Behavioural(), once) == {}


def test_runs_do_not_depend_on_the_audit(compose):
    assert compose("allow_features=[V1]").run.id == compose().run.id


LEAKY = """
from fraud_ae.features import Baseline


class Leaky(Baseline):
    def generate_features(self, df):
        later = df.groupby("customer_id").cumcount(ascending=False)
        return super().generate_features(df).assign(later_purchases=later, label=df["is_fraud"])
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of what a user has, with a strategy that leaks."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("train.py", "pipeline.py"):
        shutil.copy(ROOT / name, folder)
    for name in ("conf", "fraud_ae"):
        shutil.copytree(ROOT / name, folder / name)
    (folder / "leaky.py").write_text(LEAKY)
    (folder / "conf" / "features" / "leaky.yaml").write_text("_target_: leaky.Leaky\n")
    return folder


def audited(checkout, *arguments: str, code: int = 0) -> str:
    return run_in(checkout, "-m", "fraud_ae", "audit", *arguments, code=code)


@pytest.mark.slow
def test_audits_are_printed_and_stored_beside_one_another_and_nothing_is_trained(checkout):
    printed = audited(checkout, SIZE, "baseline", "experiment=stored")
    assert printed.startswith("audit of baseline: 1,600 transactions before the test period\n")
    assert all(f"passed  {check}: " in printed for check in CHECKS)
    assert all(len(line) <= 80 for line in printed.splitlines())
    arguments = (SIZE, "features=leaky", "allow_features=[label]", "experiment=stored")
    printed = audited(checkout, *arguments, code=1)
    assert "FAILED  truncated history: " in printed
    assert "FAILED  labels after the delay: " in printed
    assert "passed  single feature: allowed: label" in printed
    assert printed.splitlines()[-1] == "  leaky: later_purchases, label"
    assert "Traceback" not in printed
    stored = read_audits(checkout / "outputs" / "stored")
    assert list(stored) == ["baseline", "leaky"]
    assert [found["check"] for found in stored["baseline"]["findings"]] == list(CHECKS)
    assert all(found["passed"] for found in stored["baseline"]["findings"])
    failed = [found for found in stored["leaky"]["findings"] if not found["passed"]]
    names = {feature for found in failed for feature in found["features"]}
    assert names == {"later_purchases", "label"}
    assert stored["leaky"]["fingerprint"] == stored["baseline"]["fingerprint"]
    assert not list((checkout / "outputs").glob("*/runs"))
    assert not list((checkout / "outputs").glob("**/wandb"))


@pytest.mark.slow
def test_every_strategy_is_audited(checkout):
    printed = audited(checkout, SIZE, code=1)
    assert all(f"audit of {name}: " in printed for name in (*STRATEGIES, "leaky"))
    assert "FAILED  single feature: " in printed
    end = printed[printed.index("error: the audit found leaks\n") :].splitlines()
    assert end[1] == "  leaky: later_purchases, label"
    assert "allow_features=[NAME]" in end[2]
    assert len(end) == 3
    assert not list((checkout / "outputs").glob("*/runs"))


@pytest.mark.slow
def test_an_unknown_strategy_is_a_mistake_and_no_leak(checkout):
    printed = audited(checkout, SIZE, "lekay", code=2)
    assert printed.startswith("error: features=lekay: no such option; did you mean leaky?")
