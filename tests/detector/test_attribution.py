import itertools
from math import factorial

import numpy as np

from fraud_ae.detector.attribution import shapley_values

PARTS = [np.array([0, 2]), np.array([1]), np.array([3])]
USUAL = np.array([0.5, -1.0, 0.0, 2.0])


def rows(n: int = 40) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, 4))


def tangled(inputs: np.ndarray) -> np.ndarray:
    """A value in which parts work together."""
    return inputs[:, 0] * inputs[:, 1] + np.maximum(inputs[:, 2], inputs[:, 3]) ** 2


def exact(value, row: np.ndarray) -> np.ndarray:
    """Shapley values by their definition, over all subsets of the parts."""
    found = np.zeros(len(PARTS))
    for part in range(len(PARTS)):
        others = [other for other in range(len(PARTS)) if other != part]
        for size in range(len(PARTS)):
            weight = factorial(size) * factorial(len(PARTS) - size - 1) / factorial(len(PARTS))
            for chosen in itertools.combinations(others, size):
                with_, without = USUAL.copy(), USUAL.copy()
                for other in chosen:
                    with_[PARTS[other]] = without[PARTS[other]] = row[PARTS[other]]
                with_[PARTS[part]] = row[PARTS[part]]
                found[part] += weight * (value(with_[None])[0] - value(without[None])[0])
    return found


def test_they_add_up_to_what_the_value_is_above_that_of_the_usual_row():
    found = shapley_values(tangled, rows(), USUAL, PARTS)
    assert found.shape == (40, 3)
    np.testing.assert_allclose(found.sum(axis=1), tangled(rows()) - tangled(USUAL[None]))


def test_they_are_those_of_the_definition_where_parts_work_in_pairs():
    # Each pair of orders has either part of a pair first once.
    def in_pairs(inputs: np.ndarray) -> np.ndarray:
        return inputs[:, 0] * inputs[:, 1] + inputs[:, 2] * inputs[:, 3] + inputs[:, 1] ** 2

    found = shapley_values(in_pairs, rows(), USUAL, PARTS)
    np.testing.assert_allclose(found, [exact(in_pairs, row) for row in rows()], atol=1e-12)


def test_a_part_that_is_as_usual_or_does_not_matter_adds_nothing():
    as_usual = rows()
    as_usual[:, 1] = USUAL[1]
    assert (shapley_values(tangled, as_usual, USUAL, PARTS)[:, 1] == 0).all()
    found = shapley_values(lambda inputs: inputs[:, 0] ** 3, rows(), USUAL, PARTS)
    assert (found[:, 1:] == 0).all()


def test_they_do_not_depend_on_other_rows_or_how_many_are_scored_at_a_time(monkeypatch):
    whole = shapley_values(tangled, rows(), USUAL, PARTS)
    for n in (0, 1):
        found = shapley_values(tangled, rows()[:n], USUAL, PARTS)
        np.testing.assert_array_equal(found, whole[:n])
    monkeypatch.setattr("fraud_ae.detector.attribution._AT_ONCE", 100)
    np.testing.assert_array_equal(shapley_values(tangled, rows(), USUAL, PARTS), whole)
