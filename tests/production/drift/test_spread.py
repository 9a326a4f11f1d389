"""The statistics by themselves: their size without a drift, and their power with one."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fraud_ae.production.drift.bins import Bins
from fraud_ae.production.drift.spread import Spread, compare

TRIALS = 200


def rows(rng, n: int, groups: int, likeness: float, shift: float = 0.0) -> tuple:
    """Normal numbers with so much of the variance between groups, and the group of each."""
    group = rng.integers(0, groups, n)
    between = rng.normal(0, np.sqrt(likeness), groups)[group]
    return shift + between + rng.normal(0, np.sqrt(1 - likeness), n), group


def sample(bins: Bins, numbers, group) -> Spread:
    return Spread.of(bins.codes(pd.Series(numbers)), bins.count, {"customer": group})


def p_values(n: int, groups: int, likeness: float, shift: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(TRIALS):
        before, now = rows(rng, n, groups, likeness), rows(rng, n, groups, likeness, shift)
        bins = Bins.of(pd.Series(before[0]))
        found.append(compare(sample(bins, *before), sample(bins, *now), {}).p_value)
    return np.array(found)


@pytest.mark.parametrize("likeness", [0.0, 0.3, 0.9])
def test_without_a_drift_few_p_values_are_low_however_alike_the_rows_are(likeness):
    found = p_values(1_000, 100, likeness)
    most = stats.binom.ppf(0.999, TRIALS, 0.05)
    assert np.sum(found < 0.05) <= most


def test_independent_rows_are_tested_as_a_chi_square_test_would():
    rng = np.random.default_rng(1)
    before, now = rng.normal(size=4_000), rng.normal(0.1, 1, size=3_000)
    bins = Bins.of(pd.Series(before))
    alone = [sample(bins, numbers, np.arange(len(numbers))) for numbers in (before, now)]
    found = compare(*alone, {})
    counts = [np.bincount(bins.codes(pd.Series(x)), minlength=bins.count) for x in (before, now)]
    expected = stats.chi2_contingency(np.array(counts)[:, np.sum(counts, axis=0) > 0]).pvalue
    assert found.p_value == pytest.approx(expected, rel=0.5)
    assert found.design_effect == pytest.approx(1, abs=0.01)


def test_the_index_without_a_drift_is_what_is_expected_of_it():
    rng = np.random.default_rng(2)
    found = []
    for _ in range(100):
        before, now = rows(rng, 2_000, 200, 0.5), rows(rng, 1_000, 150, 0.5)
        bins = Bins.of(pd.Series(before[0]))
        found.append(compare(sample(bins, *before), sample(bins, *now), {}))
    mean = np.mean([one.psi for one in found])
    assert mean == pytest.approx(np.mean([one.expected for one in found]), rel=0.25)


def test_half_a_standard_deviation_is_found_in_500_rows():
    assert np.mean(p_values(500, 500, 0.1, shift=0.5) < 0.001) > 0.95


def test_the_smallest_index_that_is_found_is_found_19_times_of_20():
    rng = np.random.default_rng(3)
    before = rows(rng, 20_000, 20_000, 0.0)
    bins = Bins.of(pd.Series(before[0]))
    reference = sample(bins, *before)
    same = compare(reference, sample(bins, *rows(rng, 400, 400, 0.0)), {})
    shift = np.sqrt(same.smallest_found(0.001, 0.0))
    hits = [
        compare(reference, sample(bins, *rows(rng, 400, 400, 0.0, shift)), {}).p_value < 0.001
        for _ in range(TRIALS)
    ]
    assert 0.85 <= np.mean(hits) <= 0.99


def test_a_frequent_value_has_a_bin_of_its_own_and_what_lies_beside_it_another():
    counts = pd.Series([1.0] * 70 + [2.0] * 20 + [3.0] * 10)
    bins = Bins.of(counts)
    names = np.array(bins.names())
    assert names[bins.codes(pd.Series([1.0, 1.33, 2.0, 0.67, np.nan]))].tolist() == [
        "1",
        "1 to 2",
        "2",
        "below 1",
        "missing",
    ]


def test_values_of_a_category_that_are_rare_or_new_share_a_bin():
    bins = Bins.of(pd.Series([f"v{i % 30:02}" for i in range(600)]))
    codes = bins.codes(pd.Series(["v00", "v29", "never", None]))
    assert [bins.names()[code] for code in codes] == ["v00", "other", "other", "missing"]


def test_a_spread_is_kept_as_plain_data():
    rng = np.random.default_rng(4)
    bins = Bins.of(pd.Series(rng.normal(size=500)))
    spread = sample(bins, *rows(rng, 500, 50, 0.5))
    again = Spread.from_dict(spread.to_dict())
    assert again.shares == pytest.approx(spread.shares, rel=1e-5)
    assert again.to_dict() == spread.to_dict()
