"""The statistics by themselves: their size without a drift, and their power with one."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fraud_ae.production.drift.bins import Bins
from fraud_ae.production.drift.homogeneity import ClusteredShares, Comparison, compare

TRIALS = 150


def rows(rng, n: int, groups: int, likeness: float, shift: float = 0.0) -> tuple:
    """Normal numbers with so much of the variance between groups, and the group of each."""
    group = rng.integers(0, groups, n)
    between = rng.normal(0, np.sqrt(likeness), groups)[group]
    return shift + between + rng.normal(0, np.sqrt(1 - likeness), n), group


def sample(bins: Bins, numbers, group) -> ClusteredShares:
    return ClusteredShares.of(bins.codes(pd.Series(numbers)), bins.count, {"customer": group})


def comparisons(reference: tuple, current: tuple) -> list[Comparison]:
    """Of pairs of samples; reference, current: arguments of `rows`."""
    rng, compared = np.random.default_rng(0), []
    for _ in range(TRIALS):
        before, now = rows(rng, *reference), rows(rng, *current)
        bins = Bins.of(pd.Series(before[0]))
        compared.append(compare(sample(bins, *before), sample(bins, *now), {}))
    return compared


@pytest.mark.parametrize("likeness", [0.0, 0.3, 0.9])
def test_without_a_drift_few_p_values_are_low_and_the_index_is_the_expected_one(likeness):
    compared = comparisons((1_000, 100, likeness), (800, 80, likeness))
    assert sum(c.p_value < 0.05 for c in compared) <= stats.binom.ppf(0.999, TRIALS, 0.05)
    expected = np.mean([c.expected for c in compared])
    assert np.mean([c.psi for c in compared]) == pytest.approx(expected, rel=0.25)


def test_half_a_standard_deviation_is_found_in_500_rows():
    compared = comparisons((500, 500, 0.1), (500, 500, 0.1, 0.5))
    assert np.mean([c.p_value < 0.001 for c in compared]) > 0.95


def test_independent_rows_are_tested_as_a_chi_square_test_would():
    rng = np.random.default_rng(1)
    before, now = rng.normal(size=4_000), rng.normal(0.1, 1, size=3_000)
    bins = Bins.of(pd.Series(before))
    comparison = compare(*(sample(bins, x, np.arange(len(x))) for x in (before, now)), {})
    counts = [np.bincount(bins.codes(pd.Series(x)), minlength=bins.count) for x in (before, now)]
    expected = stats.chi2_contingency(np.array(counts)[:, np.sum(counts, axis=0) > 0]).pvalue
    assert comparison.p_value == pytest.approx(expected, rel=0.5)
    assert comparison.design_effect == pytest.approx(1, abs=0.01)


def test_the_smallest_index_that_is_detected_is_detected_19_times_of_20():
    rng = np.random.default_rng(3)
    before = rows(rng, 20_000, 20_000, 0.0)
    bins = Bins.of(pd.Series(before[0]))
    reference = sample(bins, *before)
    same = compare(reference, sample(bins, *rows(rng, 400, 400, 0.0)), {})
    shift = np.sqrt(same.smallest_detected(0.001, 0.0))
    hits = [
        compare(reference, sample(bins, *rows(rng, 400, 400, 0.0, shift)), {}).p_value < 0.001
        for _ in range(TRIALS)
    ]
    assert 0.85 <= np.mean(hits) <= 0.99


def test_frequent_values_have_bins_of_their_own_and_rare_or_new_ones_share_one():
    def names(learned, values) -> list[str]:
        bins = Bins.of(pd.Series(learned))
        return np.array(bins.names())[bins.codes(pd.Series(values))].tolist()

    counts = [1.0] * 70 + [2.0] * 20 + [3.0] * 10
    numbers = names(counts, [1.0, 1.33, 2.0, 0.67, np.nan])
    assert numbers == ["1", "1 to 2", "2", "below 1", "missing"]
    categories = names([f"v{i % 30:02}" for i in range(600)], ["v00", "v29", "never", None])
    assert categories == ["v00", "other", "other", "missing"]


def test_clustered_shares_are_saved_as_plain_data():
    rng = np.random.default_rng(4)
    bins = Bins.of(pd.Series(rng.normal(size=500)))
    shares = sample(bins, *rows(rng, 500, 50, 0.5))
    loaded = ClusteredShares(**shares.to_dict())
    assert loaded.shares == pytest.approx(shares.shares, rel=1e-5)
    assert loaded.to_dict() == shares.to_dict()
