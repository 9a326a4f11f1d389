import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from fraud_ae.evaluation.breakdown import COLUMNS, breakdown


def scored(n: int = 2000, seed: int = 0) -> pd.DataFrame:
    """January to March 2024; frauds of the scenarios "0" and "1", the latter with high scores."""
    rng = np.random.default_rng(seed)
    is_fraud = (rng.random(n) < 0.1).astype(np.int8)
    scenario = np.where(rng.random(n) < 0.5, "0", "1")
    second = rng.integers(0, 90 * 86_400, n)
    score = rng.normal(0, 1, n) + 2 * is_fraud * (scenario == "1")
    return pd.DataFrame(
        {
            "transaction_id": pd.Series(range(n)).astype("str"),
            "customer_id": pd.Series(rng.integers(0, 50, n)).astype("str"),
            "timestamp": (
                pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(second, unit="s")
            ).as_unit("us"),
            "amount": rng.exponential(1000, n).round(2),
            "is_fraud": is_fraud,
            "score": score.astype(np.float32),
            "fraud_scenario": pd.Series(np.where(is_fraud == 1, scenario, None)).astype("str"),
        }
    )


def groups(found: pd.DataFrame, by: str) -> pd.DataFrame:
    return found[found["by"] == by].set_index("group")


def test_the_parts_and_their_order():
    found = breakdown(scored(), 1.0)
    assert tuple(found.columns) == COLUMNS
    assert found["by"].tolist() == ["scenario"] * 2 + ["amount band"] * 4 + ["month"] * 3
    assert found["group"].tolist()[:2] == ["0", "1"]
    assert found["group"].tolist()[-3:] == ["2024-01", "2024-02", "2024-03"]


def test_a_scenario_is_its_frauds_against_all_normal_rows():
    rows = scored()
    part = rows[(rows["is_fraud"] == 0) | (rows["fraud_scenario"] == "1")]
    found = groups(breakdown(rows, 1.0), "scenario").loc["1"]
    flagged = part["score"] > 1.0
    fraud = part["is_fraud"] == 1
    assert found["rows"] == len(part)
    assert found["frauds"] == fraud.sum()
    assert found["auc"] == roc_auc_score(part["is_fraud"], part["score"])
    assert found["average_precision"] == average_precision_score(part["is_fraud"], part["score"])
    assert found["recall"] == pytest.approx(flagged[fraud].mean())
    assert found["precision"] == pytest.approx(fraud[flagged].mean())
    caught = part["amount"][fraud & flagged].sum() / part["amount"][fraud].sum()
    assert found["value_caught"] == pytest.approx(caught)


def test_scenarios_that_are_found_and_that_are_not_differ():
    found = groups(breakdown(scored(), 1.0), "scenario")
    assert found.loc["1", "auc"] > 0.9
    assert found.loc["0", "auc"] == pytest.approx(0.5, abs=0.1)


def test_the_scenario_of_normal_rows_does_not_matter():
    rows = scored()
    rows["fraud_scenario"] = rows["fraud_scenario"].fillna("none")
    pd.testing.assert_frame_equal(breakdown(rows, 1.0), breakdown(scored(), 1.0))


def test_without_scenarios_of_frauds_there_are_none():
    rows = scored()
    without = [
        rows.drop(columns="fraud_scenario"),
        rows.assign(fraud_scenario=pd.Series(None, index=rows.index, dtype="str")),
        rows.assign(fraud_scenario=rows["fraud_scenario"].where(rows["is_fraud"] == 0, None)),
    ]
    for each in without:
        assert breakdown(each, 1.0)["by"].unique().tolist() == ["amount band", "month"]


def test_some_frauds_may_have_no_scenario():
    rows = scored()
    rows.loc[rows["fraud_scenario"] == "0", "fraud_scenario"] = None
    found = groups(breakdown(rows, 1.0), "scenario")
    assert found.index.tolist() == ["1"]


def test_bands_are_quantiles_of_the_normal_amounts_and_name_them():
    normal = np.arange(1.0, 101.0)
    rows = scored(104).assign(
        amount=np.append(normal, [50.0, 50.01, 99.0, 1e6]), is_fraud=[0] * 100 + [1] * 4
    )
    found = groups(breakdown(rows, 1.0), "amount band")
    assert found.index.tolist() == [
        "to 50.00",
        "50.00 to 90.00",
        "90.00 to 99.00",
        "over 99.00",
    ]
    assert (found["rows"] - found["frauds"]).tolist() == [50, 40, 9, 1]
    assert found["frauds"].tolist() == [1, 1, 1, 1]


def test_bands_and_months_have_every_row_once():
    rows = scored()
    found = breakdown(rows, 1.0)
    for by in ("amount band", "month"):
        assert groups(found, by)["rows"].sum() == len(rows)
        assert groups(found, by)["frauds"].sum() == rows["is_fraud"].sum()


def test_equal_amounts_fall_in_one_band():
    found = groups(breakdown(scored().assign(amount=1234.5), 1.0), "amount band")
    assert found.index.tolist() == ["to 1,234.50"]


def test_a_month_is_that_of_utc():
    rows = scored(2)
    times = ["2024-01-31 23:59:59", "2024-02-01 00:00:00"]
    rows["timestamp"] = pd.to_datetime(times, utc=True).as_unit("us")
    found = groups(breakdown(rows, 1.0), "month")
    assert found.index.tolist() == ["2024-01", "2024-02"]
    assert found["rows"].tolist() == [1, 1]


def test_what_is_undefined_is_missing():
    without_fraud = breakdown(scored().assign(is_fraud=0), 1.0)
    undefined = ["auc", "average_precision", "recall", "value_caught"]
    assert without_fraud[undefined].isna().all(axis=None)
    assert without_fraud["precision"].isna().all()
    without_alert = breakdown(scored(), 100.0)
    assert without_alert["precision"].isna().all()
    assert (without_alert["recall"] == 0).all()


def test_rows_that_are_all_fraud_have_no_bands():
    found = breakdown(scored().assign(is_fraud=1, fraud_scenario="x"), 1.0)
    assert found["by"].unique().tolist() == ["scenario", "month"]
    assert found["auc"].isna().all()
    assert (found["precision"] == 1).all()


def test_types_are_the_same_whatever_is_missing():
    types = breakdown(scored(), 1.0).dtypes
    assert breakdown(scored().iloc[:0], 1.0).dtypes.equals(types)
    assert breakdown(scored().assign(is_fraud=0), 1.0).dtypes.equals(types)


def test_the_frame_is_not_changed():
    rows = scored()
    breakdown(rows, 1.0)
    pd.testing.assert_frame_equal(rows, scored())
