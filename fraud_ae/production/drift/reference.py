"""What a model's inputs, scores and figures were like when it was made: `reference.json`.

All of it is about the rows behind the threshold: the newest that the model was not fitted on, or
that a fit without them scored.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fraud_ae.data.columns import CANONICAL, CATEGORICAL, REQUIRED
from fraud_ae.errors import UserError
from fraud_ae.features.event_time import DAY_US, microseconds
from fraud_ae.production.drift.bins import Bins
from fraud_ae.production.drift.comparable import Traits, features_of, history_days, traits
from fraud_ae.production.drift.members import Members
from fraud_ae.production.drift.period import longest_gap
from fraud_ae.production.drift.ranking import ranking
from fraud_ae.production.drift.spread import Spread
from fraud_ae.runtime.atomic_files import write_json

REFERENCE = "reference.json"
# Values of a category that are kept, to tell new ones; of one with more, none can be told.
MOST_KNOWN = 500
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_DAY = pd.Timedelta(days=1)
_WEEK_DAYS = {"day": 1, "week": 7}
_KINDS = {"customer_id": "customer", "terminal_id": "terminal"}


def reference_statistics(
    strategy: Any,
    transactions: pd.DataFrame,
    held_out: pd.DataFrame,
    scored: pd.DataFrame,
    *,
    label_delay_days: float,
    replicates: int,
) -> dict:
    """Everything that `check_drift` compares with, as plain data.

    strategy: fitted. transactions: (n, d) canonical, in order of time; all that the model was made
    of. held_out: the scored frame of the rows behind the threshold. scored: that of rows which
    the deployed fit itself scored, for the distribution of its score. replicates: of the bootstrap.
    """
    rows = transactions["transaction_id"].isin(held_out["transaction_id"]).to_numpy()
    judged_rows = transactions[rows].reset_index(drop=True)
    times = transactions["timestamp"]
    before = float((judged_rows["timestamp"].iloc[0] - times.iloc[0]) / _DAY)
    days = min(history_days(strategy), before)
    learned_until = times.iloc[-1] + pd.Timedelta(days=days + 7)
    feature_traits = traits(strategy, transactions, rows, days, learned_until)
    features = features_of(strategy, transactions, rows, days, learned_until)
    span = float((judged_rows["timestamp"].iloc[-1] - judged_rows["timestamp"].iloc[0]) / _DAY)
    members = members_of(judged_rows)
    rows_per_day = len(judged_rows) / max(span, 1.0)
    scores = judged_rows[["transaction_id"]].merge(held_out[["transaction_id", "score"]])["score"]
    used = set(getattr(strategy, "columns", ()))
    names = [name for name in transactions if name not in REQUIRED]
    return {
        "from": judged_rows["timestamp"].iloc[0].isoformat(),
        "to": judged_rows["timestamp"].iloc[-1].isoformat(),
        "days": span,
        "rows": len(judged_rows),
        "rows_per_day": rows_per_day,
        "gap_days": longest_gap(times[times >= judged_rows["timestamp"].iloc[0]], rows_per_day),
        "customers": int(judged_rows["customer_id"].nunique())
        if "customer_id" in judged_rows
        else None,
        "history_days": days,
        "label_delay_days": label_delay_days,
        "learned_until": learned_until.isoformat(),
        "columns": {name: not used or name in used or name not in CANONICAL for name in names},
        "members": {kind: known.sketch() for kind, known in members.items()},
        "features": {
            name: _feature(name, features, judged_rows, feature_traits[name], members)
            for name in features
        },
        "categories": {
            name: _known_values(transactions[name], owners_of(transactions))
            for name in CATEGORICAL
            if name in transactions
        },
        "score": _score(scored, transactions, any(t.looks_back for t in feature_traits.values())),
        "ranking": ranking(
            judged_rows.get("is_fraud", pd.Series(np.nan, index=judged_rows.index)).to_numpy(),
            scores.to_numpy(),
            clusters_of(judged_rows),
            replicates=replicates,
        ),
    }


def save_reference(folder: Path, statistics: dict) -> None:
    """Write `reference.json`."""
    write_json(folder / REFERENCE, statistics, indent=None)


def load_reference(folder: Path) -> dict:
    """What `save_reference` wrote. Raises UserError where the folder has none that can be read."""
    path = folder / REFERENCE
    if not path.is_file():
        raise UserError(
            f"{folder}: no {REFERENCE}, so there is nothing to compare with; make the model again: "
            "python train.py stage=production"
        )
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: damaged ({error})") from error


def clusters_of(transactions: pd.DataFrame, cycle: str | None = None) -> dict[str, np.ndarray]:
    """The clusters that the rows of n transactions fall into: kind -> (n,) int.

    A missing terminal is a cluster of its own. Days are counted back from the last row; of a
    feature that goes by the day of the week, whole weeks take their place.
    """
    result = {}
    for name, kind in _KINDS.items():
        if name in transactions:
            codes = pd.factorize(transactions[name])[0]
            alone = codes.max(initial=0) + 1 + np.arange(len(codes))
            result[kind] = np.where(codes < 0, alone, codes)
    result["day"] = periods_back(transactions["timestamp"], _WEEK_DAYS.get(cycle, 1))
    return result


def periods_back(timestamp: pd.Series, days: float) -> np.ndarray:
    """In which period of so many days before the end of the last row's day each row is: from 0."""
    us = microseconds(timestamp)
    end = (us[-1] // DAY_US + 1) * DAY_US
    return (end - 1 - us) // round(days * DAY_US)


def whole_periods(timestamp: pd.Series, cycle: str | None) -> np.ndarray:
    """The rows in whole days or weeks, counted back from the last day: (n,) bool, all for None.

    The first and the last day are not whole as a rule, and so do not count.
    """
    if cycle is None:
        return np.ones(len(timestamp), dtype=bool)
    day = microseconds(timestamp) // DAY_US
    inner = (day > day[0]) & (day < day[-1])
    length = _WEEK_DAYS[cycle]
    whole = (day[-1] - day[0] - 1) // length * length
    return inner & (day >= day[-1] - whole)


def owners_of(transactions: pd.DataFrame) -> pd.Series:
    """Who brings the values of a category: customers, or transactions where there are none."""
    return transactions.get("customer_id", transactions["transaction_id"])


def members_of(transactions: pd.DataFrame) -> dict[str, Members]:
    """Customers and terminals of n transactions, where they are known."""
    return {
        kind: Members.of(transactions[column])
        for column, kind in _KINDS.items()
        if column in transactions and transactions[column].notna().any()
    }


def _feature(
    name: str,
    features: pd.DataFrame,
    judged_rows: pd.DataFrame,
    traits_of_feature: Traits,
    members: Mapping[str, Members],
) -> dict:
    values = features[name]
    counted = features[traits_of_feature.stands_for or name]
    means = {}
    if not traits_of_feature.looks_back and traits_of_feature.cycle is None:
        codes = Bins.of(counted).codes(counted)
        for kind, known in members.items():
            means[kind] = known.means(codes, known.sketch()["hashes"]).round(1).tolist()
    whole = whole_periods(
        judged_rows["timestamp"],
        traits_of_feature.cycle if traits_of_feature.cycle in _WEEK_DAYS else None,
    )
    if not whole.any():
        whole[:] = True
    counted, judged_rows = counted[whole], judged_rows[whole].reset_index(drop=True)
    bins = Bins.of(counted)
    return {
        **asdict(traits_of_feature),
        "bins": asdict(bins),
        "spread": spread_of(bins, counted, judged_rows, traits_of_feature.cycle).to_dict(),
        "quantiles": quantiles(values[whole]),
        "means": means,
    }


def spread_of(
    bins: Bins, values: pd.Series, transactions: pd.DataFrame, cycle: str | None = None
) -> Spread:
    """The spread of a feature's values, (n,), in the rows of n transactions."""
    return Spread.of(bins.codes(values), bins.count, clusters_of(transactions, cycle))


def quantiles(values: pd.Series) -> list[float] | None:
    """The QUANTILES of a number, None of a category or without any value."""
    if not pd.api.types.is_numeric_dtype(values.dtype) or not values.notna().any():
        return None
    result = np.nanquantile(values.to_numpy(np.float64), QUANTILES)
    return [float(f"{value:.6g}") for value in result]


def _known_values(column: pd.Series, whose: pd.Series) -> dict:
    """The values of a category, and what says how many new ones are to be expected.

    whose: of each row, the customer, or the transaction itself where there are none. Of further
    ones, about as many in each hundred bring a value that was never seen as there are values that
    one alone had (Good, 1953).
    """
    known = pd.DataFrame({"value": column, "whose": whose}).dropna().astype(str)
    owners = known.drop_duplicates()["value"].value_counts()
    values = sorted(owners.index) if len(owners) <= MOST_KNOWN else None
    return {"values": values, "of_one": int((owners == 1).sum()), "of": known["whose"].nunique()}


def _score(scored: pd.DataFrame, transactions: pd.DataFrame, looks_back: bool) -> dict:
    rows = transactions["transaction_id"].isin(scored["transaction_id"]).to_numpy()
    judged_rows = transactions[rows].reset_index(drop=True)
    scores = judged_rows[["transaction_id"]].merge(scored[["transaction_id", "score"]])["score"]
    scores = scores.astype("float64")
    bins = Bins.of(scores)
    return {
        "looks_back": looks_back,
        "bins": asdict(bins),
        "spread": spread_of(bins, scores, judged_rows).to_dict(),
        "quantiles": quantiles(scores),
    }


def bins_from(data: Mapping) -> Bins:
    """The bins that are kept as plain data."""
    values = data["values"]
    return Bins(tuple(data["edges"]), None if values is None else tuple(values))
