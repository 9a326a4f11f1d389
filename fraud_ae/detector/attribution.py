"""What each part of a row adds to its score: Shapley values, which add up."""

from collections.abc import Callable, Sequence

import numpy as np

# Pairs of an order of the parts and its reverse.
_PAIRS = 4
# So many rows are scored at a time.
_AT_ONCE = 16_384


def shapley_values(
    value: Callable[[np.ndarray], np.ndarray],
    inputs: np.ndarray,
    usual: np.ndarray,
    parts: Sequence[np.ndarray],
) -> np.ndarray:
    """What each part of each row adds to its value, compared with a usual row.

    value: of rows, (m, n_inputs) -> (m,). inputs: (n, n_inputs). usual: (n_inputs,), what stands in
    for a part that is left out. parts: the input columns of each, all of them once. Returns
    (n, len(parts)) float64; each row adds up to its value less that of the usual row.

    Parts are put in one after another, and each is given what the value changes by, on average over
    random orders, each with its reverse; the orders are the same for all rows. Strumbelj and
    Kononenko, Knowledge and Information Systems 41, 2014; reversed orders: Mitchell et al., Journal
    of Machine Learning Research 23, 2022.
    """
    values_of_parts = np.zeros((len(inputs), len(parts)))
    rng = np.random.default_rng(0)
    orders = [rng.permutation(len(parts)) for _ in range(_PAIRS)]
    orders += [order[::-1] for order in orders]
    n_parts, n_inputs = len(parts), inputs.shape[1]
    # What is put in by each step of each order: (orders, steps, n_inputs).
    put_in = np.zeros((len(orders), n_parts + 1, n_inputs), dtype=bool)
    for order, steps in zip(orders, put_in, strict=True):
        for number, part in enumerate(order):
            steps[number + 1 :, parts[part]] = True
    at_once = max(1, _AT_ONCE // (len(orders) * (n_parts + 1)))
    for start in range(0, len(inputs), at_once):
        rows = inputs[start : start + at_once]
        steps = np.where(put_in[:, :, None], rows, usual.astype(inputs.dtype))
        values = value(steps.reshape(-1, n_inputs)).astype(np.float64)
        gains = np.diff(values.reshape(len(orders), n_parts + 1, len(rows)), axis=1)
        for order, gain in zip(orders, gains, strict=True):
            values_of_parts[start : start + at_once, order] += gain.T / len(orders)
    return values_of_parts
