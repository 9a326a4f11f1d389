import tracemalloc

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from fraud_ae.errors import UserError
from fraud_ae.evaluation.bootstrap import (
    METRICS,
    WeightedRanking,
    bootstrap_intervals,
    paired_bootstrap,
)


def customers(seed: int = 0, n_customers: int = 60, rows_each: int = 20) -> pd.DataFrame:
    """Transactions whose score and risk depend on their customer more than on anything else."""
    rng = np.random.default_rng(seed)
    customer = np.repeat(np.arange(n_customers), rows_each)
    habit = rng.normal(0, 1.5, n_customers)
    risk = np.where(rng.random(n_customers) < 0.4, 0.4, 0.02)
    is_fraud = (rng.random(len(customer)) < risk[customer]).astype(np.int8)
    score = habit[customer] + rng.normal(0, 1, len(customer)) + is_fraud
    return pd.DataFrame({"customer": customer, "is_fraud": is_fraud, "score": score})


def columns(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    score = rows["score"].to_numpy(np.float32)
    return rows["is_fraud"].to_numpy(), score, rows["customer"].to_numpy()


def expected(y_true, scores, weights) -> dict[str, float]:
    return {
        "auc": roc_auc_score(y_true, scores, sample_weight=weights),
        "average_precision": average_precision_score(y_true, scores, sample_weight=weights),
    }


@pytest.mark.parametrize("levels", [1, 2, 5, 40, None])
@pytest.mark.parametrize("fraud_rate", [0.01, 0.3, 0.95])
def test_figures_are_those_of_sklearn_with_weights(levels, fraud_rate):
    rng = np.random.default_rng(0)
    y_true = (rng.random(2000) < fraud_rate).astype(np.int8)
    scores = rng.normal(0, 1, 2000) + y_true
    if levels is not None:
        scores = np.digitize(scores, np.linspace(-1, 2, levels - 1))
    codes = rng.integers(0, 100, 2000)
    ranking = WeightedRanking(y_true, scores.astype(np.float32), codes)
    for weights in (np.ones(100), rng.poisson(1, 100), rng.exponential(1, 100)):
        found = ranking.figures(weights)
        assert found == pytest.approx(expected(y_true, scores, weights[codes]), abs=1e-9)


def test_rows_of_weight_0_at_the_top_do_not_count():
    y_true, scores = np.array([1, 0, 1, 0]), np.array([4.0, 3.0, 2.0, 1.0])
    ranking = WeightedRanking(y_true, scores, np.arange(4))
    assert ranking.figures(np.array([0, 0, 1, 1])) == {"auc": 1.0, "average_precision": 1.0}
    assert ranking.figures(np.array([0, 1, 1, 0])) == {"auc": 0.0, "average_precision": 0.5}


def test_intervals_hold_the_figures_and_shrink_with_less_confidence():
    y_true, scores, customer = columns(customers())
    wide = bootstrap_intervals(y_true, scores, customer)
    narrow = bootstrap_intervals(y_true, scores, customer, confidence=0.5)
    for name, value in expected(y_true, scores, None).items():
        assert wide[name][0] < narrow[name][0] < value < narrow[name][1] < wide[name][1]


@pytest.mark.slow
def test_the_interval_is_that_of_a_plain_bootstrap_with_sklearn():
    rows = customers()
    by_customer = [part for _, part in rows.groupby("customer")]
    rng = np.random.default_rng(5)
    drawn = []
    for _ in range(400):
        sample = pd.concat([by_customer[i] for i in rng.integers(0, 60, 60)])
        drawn.append(roc_auc_score(sample["is_fraud"], sample["score"]))
    found = bootstrap_intervals(*columns(rows), replicates=2000)["auc"]
    assert found == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.02)


@pytest.mark.slow
def test_customers_give_honest_intervals_and_single_rows_do_not():
    truth = roc_auc_score(*columns(customers(seed=10_000, n_customers=20_000))[:2])
    covered, widths = np.zeros(2), np.zeros(2)
    for seed in range(150):
        y_true, scores, customer = columns(customers(seed))
        for side, clusters in enumerate((customer, np.arange(len(customer)))):
            low, high = bootstrap_intervals(y_true, scores, clusters, seed=seed)["auc"]
            covered[side] += low <= truth <= high
            widths[side] += high - low
    by_customer, by_row = covered / 150
    assert 0.88 <= by_customer <= 0.99
    assert by_row < 0.75
    assert widths[0] > 1.5 * widths[1]


def test_a_clear_gain_excludes_0():
    y_true, scores, customer = columns(customers())
    found = paired_bootstrap(y_true, scores + y_true, scores, customer, replicates=300)
    assert 0 < found["low"] < found["difference"] < found["high"]
    gain = roc_auc_score(y_true, scores + y_true) - roc_auc_score(y_true, scores)
    assert found["difference"] == pytest.approx(gain, abs=1e-9)
    assert found["confidence"] == 0.95
    assert found["replicates"] == 300
    turned = paired_bootstrap(y_true, scores, scores + y_true, customer, replicates=300)
    assert turned["difference"] == -found["difference"]
    assert turned["high"] == pytest.approx(-found["low"])


def test_the_paired_metric_can_be_average_precision():
    y_true, scores, customer = columns(customers())
    found = paired_bootstrap(
        y_true, scores + y_true, scores, customer, metric="average_precision", replicates=50
    )
    gain = average_precision_score(y_true, scores + y_true)
    gain -= average_precision_score(y_true, scores)
    assert found["difference"] == pytest.approx(gain, abs=1e-9)
    assert found["low"] > 0


def test_identical_scores_do_not_differ():
    y_true, scores, customer = columns(customers())
    found = paired_bootstrap(y_true, scores, scores * 2, customer, replicates=50)
    assert found["difference"] == found["low"] == found["high"] == 0


def test_scores_that_differ_by_chance_are_not_told_apart():
    y_true, scores, customer = columns(customers())
    rng = np.random.default_rng(1)
    a, b = (scores + rng.normal(0, 1, len(scores)) for _ in range(2))
    found = paired_bootstrap(y_true, a, b, customer, replicates=300)
    assert found["low"] < 0 < found["high"]


def test_pairing_makes_the_interval_narrower():
    y_true, scores, customer = columns(customers())
    low, high = bootstrap_intervals(y_true, scores, customer)["auc"]
    paired = paired_bootstrap(y_true, scores + 0.2 * y_true, scores, customer, replicates=200)
    assert paired["high"] - paired["low"] < (high - low) / 3


@pytest.mark.parametrize(
    "named",
    [
        lambda customer: customer,
        lambda customer: pd.Series(customer).astype("str"),
        lambda customer: pd.Series(customer).astype("str").astype("category"),
        lambda customer: [f"C{number}" if number % 2 else int(number) for number in customer],
        lambda customer: [("C", int(number)) for number in customer],
        lambda customer: [None if number == 0 else f"C{number}" for number in customer],
    ],
    ids=["int", "str", "category", "mixed", "tuple", "missing"],
)
def test_the_order_of_the_rows_does_not_matter(named):
    rows = customers()
    rows["score"] = rows["score"].round(1)
    rows["named"] = pd.Series(list(named(rows["customer"].to_numpy())), dtype="object")
    shuffled = rows.sample(frac=1, random_state=1)
    sides = []
    for each in (rows, shuffled):
        y_true, scores, _ = columns(each)
        clusters = each["named"].tolist()
        sides.append(
            (
                bootstrap_intervals(y_true, scores, clusters, replicates=50),
                paired_bootstrap(y_true, scores, scores**2, clusters, replicates=50),
            )
        )
    assert sides[0] == sides[1]


def test_clusters_may_be_a_series_with_an_index_of_its_own():
    rows = customers()
    y_true, scores, customer = columns(rows)
    series = pd.Series(customer, index=range(7, 7 + len(rows))).astype("str").astype("category")
    found = bootstrap_intervals(y_true, scores, series, replicates=20)
    assert found == bootstrap_intervals(y_true, scores, customer.astype(str), replicates=20)


def test_seeds_repeat_and_differ():
    rows = columns(customers())
    assert bootstrap_intervals(*rows, seed=1) == bootstrap_intervals(*rows, seed=1)
    assert bootstrap_intervals(*rows, seed=1) != bootstrap_intervals(*rows, seed=2)


def test_all_frauds_with_one_customer_are_drawn_again_until_they_are_there():
    y_true, scores, customer = columns(customers())
    y_true = (customer == 7).astype(np.int8)
    found = bootstrap_intervals(y_true, scores, customer, replicates=300)
    assert all(np.isfinite(found[name]).all() for name in METRICS)


@pytest.mark.parametrize("label", [0, 1])
def test_with_one_class_alone_nothing_is_defined(label):
    _, scores, customer = columns(customers())
    y_true = np.full(len(scores), label)
    assert bootstrap_intervals(y_true, scores, customer) == dict.fromkeys(METRICS)
    found = paired_bootstrap(y_true, scores, scores, customer, replicates=10)
    assert found["difference"] is found["low"] is found["high"] is None


def test_without_rows_nothing_is_defined():
    empty = np.array([])
    assert bootstrap_intervals(empty, empty, empty) == dict.fromkeys(METRICS)
    assert paired_bootstrap(empty, empty, empty, empty)["difference"] is None


def test_one_customer_tells_nothing_about_others():
    y_true, scores, _ = columns(customers())
    one = np.zeros(len(scores))
    assert bootstrap_intervals(y_true, scores, one) == dict.fromkeys(METRICS)
    found = paired_bootstrap(y_true, scores + y_true, scores, one)
    assert found["difference"] > 0
    assert found["low"] is found["high"] is None


def test_two_customers_of_one_class_each():
    found = bootstrap_intervals([0, 1], np.array([1.0, 2.0]), ["a", "b"], replicates=50)
    assert found == {"auc": (1.0, 1.0), "average_precision": (1.0, 1.0)}


def test_an_unknown_metric_is_named_with_the_known_ones():
    with pytest.raises(UserError, match=r"metric=f1.*auc, average_precision"):
        paired_bootstrap(*columns(customers())[:2], [], [], metric="f1")


def test_replicates_need_no_memory_of_their_own():
    y_true, scores, customer = columns(customers(n_customers=1000))
    tracemalloc.start()
    bootstrap_intervals(y_true, scores, customer, replicates=200)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * len(scores) * 8
