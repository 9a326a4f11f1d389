"""Options of `conf/data/` for public sets, on small generated files of their shapes."""

import pandas as pd
import pytest
import yaml

from fraud_ae.data.sources import Dataset, from_file
from tests.commands import ROOT
from tests.data.public_sets import PUBLIC_SETS, ROWS

_USED_ELSEWHERE = ("defaults", "_target_", "name", "split")


@pytest.fixture(scope="module")
def datasets(tmp_path_factory) -> dict[str, Dataset]:
    folder, read = tmp_path_factory.mktemp("public"), {}
    for name, made in PUBLIC_SETS.items():
        path = folder / f"{name}.csv"
        made().to_csv(path, index=False)
        option = yaml.safe_load((ROOT / "conf" / "data" / f"{name}.yaml").read_text())
        settings = {key: value for key, value in option.items() if key not in _USED_ELSEWHERE}
        read[name] = from_file(str(path), **settings)
    return read


@pytest.mark.promise(12)
def test_an_option_reads_its_set(datasets):
    for dataset in datasets.values():
        transactions = dataset.transactions
        assert len(transactions) == ROWS
        assert 0.02 < transactions["is_fraud"].mean() < 0.08
        assert transactions["timestamp"].is_monotonic_increasing


@pytest.mark.parametrize(
    ("name", "days"), [("paysim", 83), ("tabformer", 300), ("baf", 213), ("elliptic", 48 * 7)]
)
def test_hours_days_and_several_columns_are_times(datasets, name, days):
    times = datasets[name].transactions["timestamp"]
    assert (times.iloc[-1] - times.iloc[0]) / pd.Timedelta(days=1) == pytest.approx(days, abs=1)


@pytest.mark.promise(10)
def test_customers_of_several_columns_refunds_and_ages(datasets):
    tabformer = datasets["tabformer"].transactions
    assert tabformer["customer_id"].str.fullmatch(r"\d+\|[0-2]").all()
    assert 0.02 < (tabformer["amount"] < 0).mean() < 0.08
    sparkov = datasets["sparkov"].transactions
    assert sparkov["customer_age"].between(0, 90).all()
    assert (sparkov["customer_location"] == "NA").any()
    assert sparkov["customer_id"].str.startswith("46133147219660000").all()
    assert sparkov["gender"].isin(["M", "F"]).all()


def test_amounts_and_labels_may_be_unknown(datasets):
    assert 0.4 < datasets["baf"].transactions["amount"].isna().mean() < 0.6
    elliptic = datasets["elliptic"].transactions
    assert "amount" not in elliptic
    assert 0.5 < elliptic["is_fraud"].isna().mean() < 0.7


@pytest.mark.promise(10)
def test_numbers_with_gaps_are_whole_numbers_and_patterns_are_columns(datasets):
    dataset = datasets["ieee_cis"]
    assert set(dataset.transactions["customer_location"].dropna()) == {"325", "299"}
    assert dataset.source_format.extra_columns == ("dist1", "C1", "D1", "V1", "V2")
    categories = ("M1", "card6", "P_emaildomain", "R_emaildomain")
    assert dataset.source_format.extra_categories == categories
