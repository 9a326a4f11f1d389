"""Options of `conf/data/` for public sets, on small generated files of their shapes."""

import pandas as pd
import pytest
import yaml

from fraud_ae.data.sources import Dataset, from_file
from tests.commands import ROOT
from tests.data.public_sets import PUBLIC_SETS, ROWS

_USED_ELSEWHERE = ("defaults", "_target_", "name", "split")


def read(name: str, folder) -> Dataset:
    path = folder / f"{name}.csv"
    PUBLIC_SETS[name]().to_csv(path, index=False)
    option = yaml.safe_load((ROOT / "conf" / "data" / f"{name}.yaml").read_text())
    settings = {key: value for key, value in option.items() if key not in _USED_ELSEWHERE}
    return from_file(str(path), **settings)


@pytest.mark.parametrize("name", PUBLIC_SETS)
def test_an_option_reads_its_set(name, tmp_path):
    transactions = read(name, tmp_path).transactions
    assert len(transactions) == ROWS
    assert 0.02 < transactions["is_fraud"].mean() < 0.08
    assert transactions["timestamp"].is_monotonic_increasing


def test_hours_days_and_several_columns_are_times(tmp_path):
    days = {
        name: (times := read(name, tmp_path).transactions["timestamp"]).iloc[-1] - times.iloc[0]
        for name in ("paysim", "tabformer", "baf", "elliptic")
    }
    assert [round(span / pd.Timedelta(days=1)) for span in days.values()] == [
        83,
        pytest.approx(300, abs=1),
        213,
        48 * 7,
    ]


def test_customers_of_several_columns_refunds_and_ages(tmp_path):
    tabformer = read("tabformer", tmp_path).transactions
    assert tabformer["customer_id"].str.fullmatch(r"\d+\|[0-2]").all()
    assert 0.02 < (tabformer["amount"] < 0).mean() < 0.08
    sparkov = read("sparkov", tmp_path).transactions
    assert sparkov["customer_age"].between(0, 90).all()
    assert (sparkov["customer_location"] == "NA").any()
    assert sparkov["customer_id"].str.startswith("46133147219660000").all()
    assert sparkov["gender"].isin(["M", "F"]).all()


def test_amounts_and_labels_may_be_unknown(tmp_path):
    assert 0.4 < read("baf", tmp_path).transactions["amount"].isna().mean() < 0.6
    elliptic = read("elliptic", tmp_path).transactions
    assert "amount" not in elliptic
    assert 0.5 < elliptic["is_fraud"].isna().mean() < 0.7


def test_numbers_with_gaps_are_whole_numbers(tmp_path):
    dataset = read("ieee_cis", tmp_path)
    assert set(dataset.transactions["customer_location"].dropna()) == {"325", "299"}
    assert dataset.source_format.extra_columns == ("dist1", "C1", "D1", "V1", "V2")
    assert dataset.source_format.extra_categories == (
        "M1",
        "card6",
        "P_emaildomain",
        "R_emaildomain",
    )
