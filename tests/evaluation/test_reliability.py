import numpy as np
import pytest

from fraud_ae.evaluation.reliability import EDGES, reliability_bins, reliability_figures


def simulated(seed: int, rows: int = 40_000) -> tuple[np.ndarray, np.ndarray]:
    """Labels that come true with the very probabilities that go with them, most of them small."""
    rng = np.random.default_rng(seed)
    probabilities = rng.beta(0.3, 6, rows)
    return (rng.random(rows) < probabilities).astype(int), probabilities


def test_bins_of_a_small_example_are_exact():
    y_true = np.array([0, 0, 1, 0, 1, 1])
    probabilities = np.array([0.02, 0.04, 0.03, 0.2, 0.6, 1.0], dtype=np.float32)
    bins = reliability_bins(y_true, probabilities)
    assert bins[["low", "high"]].to_numpy().tolist() == [[0.01, 0.05], [0.1, 0.25], [0.5, 1.0]]
    assert bins["rows"].tolist() == [3, 1, 2]
    assert bins["frauds"].tolist() == [1, 0, 2]
    assert bins["predicted"].tolist() == pytest.approx([0.03, 0.2, 0.8])
    assert bins["observed"].tolist() == pytest.approx([1 / 3, 0, 1])


def test_intervals_are_those_of_wilson():
    # Newcombe, Statistics in Medicine 17 (1998), table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    published = {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0.0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }
    for (frauds, rows), expected in published.items():
        bins = reliability_bins(np.arange(rows) < frauds, np.full(rows, 0.3))
        found = bins[["observed_low", "observed_high"]].to_numpy()[0]
        np.testing.assert_allclose(found, expected, atol=5e-5)


def test_an_edge_belongs_to_the_bin_above_and_one_to_the_last():
    edges = np.array(EDGES)
    bins = reliability_bins(np.zeros(len(edges)), edges)
    assert bins["low"].tolist() == list(EDGES[:-1])
    assert bins["rows"].tolist() == [1, 1, 1, 1, 1, 1, 2]
    assert reliability_bins(np.zeros(1), np.zeros(1))["high"].tolist() == [0.001]


def test_figures_of_a_small_example_are_exact():
    y_true, probabilities = np.array([0, 0, 0, 1]), np.array([0.2, 0.2, 0.2, 0.8])
    figures = reliability_figures(y_true, probabilities)
    assert figures.pop("brier_score") == pytest.approx(0.04)
    assert figures.pop("brier_skill") == pytest.approx(1 - 0.04 / (0.25 * 0.75))
    assert figures.pop("expected_calibration_error") == pytest.approx(0.2)
    assert figures == {"rows": 4, "frauds": 1, "predicted": pytest.approx(0.35), "base_rate": 0.25}


def test_perfect_probabilities_agree_and_have_no_calibration_error():
    agreed = []
    for seed in range(20):
        y_true, probabilities = simulated(seed)
        bins = reliability_bins(y_true, probabilities)
        assert len(bins) == len(EDGES) - 1
        inside = bins["predicted"].between(bins["observed_low"], bins["observed_high"])
        agreed.append((inside.mean(), bins["agrees"].all()))
        error = reliability_figures(y_true, probabilities)["expected_calibration_error"]
        assert error < 0.003
    covered, whole = np.mean(agreed, axis=0)
    assert covered > 0.9
    assert whole >= 0.9


def test_wrong_probabilities_are_found_out_and_have_less_skill():
    y_true, probabilities = simulated(0)
    right = reliability_figures(y_true, probabilities)
    for wrong in (probabilities**2, np.sqrt(probabilities)):
        assert not reliability_bins(y_true, wrong)["agrees"].all()
        figures = reliability_figures(y_true, wrong)
        assert figures["brier_skill"] < right["brier_skill"]
        assert figures["expected_calibration_error"] > 5 * right["expected_calibration_error"]


def test_the_base_rate_for_everyone_is_reliable_and_has_no_skill():
    y_true = np.arange(1000) < 30
    figures = reliability_figures(y_true, np.full(1000, 0.03))
    assert figures["brier_skill"] == pytest.approx(0)
    assert figures["expected_calibration_error"] == pytest.approx(0)


def test_what_is_undefined_is_none():
    one_class = reliability_figures(np.zeros(3), np.full(3, 0.1))
    assert one_class["brier_skill"] is None
    assert one_class["brier_score"] == pytest.approx(0.01)
    nothing = reliability_figures(np.empty(0), np.empty(0))
    assert (nothing.pop("rows"), nothing.pop("frauds")) == (0, 0)
    assert set(nothing.values()) == {None}
    assert reliability_bins(np.empty(0), np.empty(0)).empty


@pytest.mark.parametrize("score", [-0.1, 1.5, np.nan])
def test_scores_that_are_no_probabilities_are_refused(score):
    with pytest.raises(ValueError, match="between 0 and 1"):
        reliability_bins(np.zeros(2), np.array([0.5, score]))
