"""What a model's inputs, scores and figures were like when it was made: `reference.json`.

All of it is about the rows behind the threshold: the newest that the model was not fitted on, or
that a fit without them scored.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fraud_ae.data.columns import CANONICAL, CATEGORICAL, REQUIRED
from fraud_ae.errors import UserError
from fraud_ae.features.history import history_of
from fraud_ae.production.drift.bins import Bins
from fraud_ae.production.drift.clusters import clusters_of, whole_periods
from fraud_ae.production.drift.entities import Entities, entities_of
from fraud_ae.production.drift.feature_properties import (
    FeatureProperties,
    comparable_features,
    feature_properties,
)
from fraud_ae.production.drift.homogeneity import ClusteredShares
from fraud_ae.production.drift.period import longest_gap
from fraud_ae.production.drift.ranking import ranking
from fraud_ae.runtime.atomic_files import write_json
from fraud_ae.runtime.json_files import read_json

REFERENCE = "reference.json"
# The most values of a category that are listed; of one with more, none can be called new.
MOST_KNOWN = 500
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
# Where a strategy has no windows, or does not say how far it looks back.
_USUAL_HISTORY = 30.0
_DAY = pd.Timedelta(days=1)


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
    reference, times = transactions[rows].reset_index(drop=True), transactions["timestamp"]
    start, end = reference["timestamp"].iloc[0], reference["timestamp"].iloc[-1]
    # What looks back without an end, such as a first use, can be compared if both periods show it
    # equally long.
    wanted = history_of(strategy).days or _USUAL_HISTORY
    days = min(wanted, float((start - times.iloc[0]) / _DAY))
    learned_until = times.iloc[-1] + pd.Timedelta(days=days + 7)
    properties = feature_properties(strategy, transactions, rows, days, learned_until)
    features = comparable_features(strategy, transactions, rows, days, learned_until)
    span = float((end - start) / _DAY)
    entities = entities_of(reference)
    rows_per_day = len(reference) / max(span, 1.0)
    used = set(getattr(strategy, "columns", ()))
    names = [name for name in transactions if name not in REQUIRED]
    has_customers = "customer_id" in reference
    return {
        "from": start.isoformat(),
        "to": end.isoformat(),
        "days": span,
        "rows": len(reference),
        "rows_per_day": rows_per_day,
        "gap_days": longest_gap(times[times >= start], rows_per_day),
        "customers": int(reference["customer_id"].nunique()) if has_customers else None,
        "history_days": days,
        "label_delay_days": label_delay_days,
        "learned_until": learned_until.isoformat(),
        "columns": {name: not used or name in used or name not in CANONICAL for name in names},
        "members": {kind: sample.sketch() for kind, sample in entities.items()},
        "features": {
            name: _feature(name, features, reference, properties[name], entities)
            for name in features
        },
        "categories": {
            name: _known_values(transactions[name], customers_of(transactions))
            for name in CATEGORICAL
            if name in transactions
        },
        "score": {
            "looks_back": any(known.looks_back for known in properties.values()),
            **_score_distribution(scored, transactions),
        },
        "ranking": ranking(
            reference.get("is_fraud", pd.Series(np.nan, index=reference.index)).to_numpy(),
            _scores_of(reference, held_out).to_numpy(),
            clusters_of(reference),
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
    return read_json(path)


def customers_of(transactions: pd.DataFrame) -> pd.Series:
    """The customer of each row; the transaction itself where there are no customers."""
    return transactions.get("customer_id", transactions["transaction_id"])


def clustered_shares(
    bins: Bins, values: pd.Series, transactions: pd.DataFrame, cycle: str | None = None
) -> ClusteredShares:
    """The shares of bins of a feature's values, (n,), in the rows of n transactions."""
    return ClusteredShares.of(bins.codes(values), bins.count, clusters_of(transactions, cycle))


def quantiles(values: pd.Series) -> list[float] | None:
    """The QUANTILES of a number, None of a category or without any value."""
    if not pd.api.types.is_numeric_dtype(values.dtype) or not values.notna().any():
        return None
    result = np.nanquantile(values.to_numpy(np.float64), QUANTILES)
    return [float(f"{value:.6g}") for value in result]


def _feature(
    name: str,
    features: pd.DataFrame,
    transactions: pd.DataFrame,
    properties: FeatureProperties,
    entities: Mapping[str, Entities],
) -> dict:
    counted, cycle = features[properties.stands_for or name], properties.cycle
    distribution = _distribution(counted, features[name], transactions, cycle)
    means = {}
    if not properties.looks_back and cycle is None:
        codes = Bins(**distribution["bins"]).codes(counted)
        for kind, sample in entities.items():
            mean_codes = sample.mean_codes(codes, sample.sketch()["hashes"])
            means[kind] = mean_codes.round(1).tolist()
    return {**asdict(properties), **distribution, "means": means}


def _distribution(
    counted: pd.Series,
    values: pd.Series,
    transactions: pd.DataFrame,
    cycle: str | None = None,
) -> dict:
    """Bins of what is counted, (n,), its shares in them, and the quantiles of the values, (n,)."""
    whole = whole_periods(transactions["timestamp"], cycle)
    if not whole.any():
        whole[:] = True
    counted, transactions = counted[whole], transactions[whole].reset_index(drop=True)
    bins = Bins.of(counted)
    return {
        "bins": asdict(bins),
        "spread": clustered_shares(bins, counted, transactions, cycle).to_dict(),
        "quantiles": quantiles(values[whole]),
    }


def _score_distribution(scored: pd.DataFrame, transactions: pd.DataFrame) -> dict:
    rows = transactions["transaction_id"].isin(scored["transaction_id"]).to_numpy()
    transactions = transactions[rows].reset_index(drop=True)
    scores = _scores_of(transactions, scored).astype("float64")
    return _distribution(scores, scores, transactions)


def _scores_of(transactions: pd.DataFrame, scored: pd.DataFrame) -> pd.Series:
    """The scores in the order of the transactions, all of which have one."""
    return transactions[["transaction_id"]].merge(scored[["transaction_id", "score"]])["score"]


def _known_values(column: pd.Series, customers: pd.Series) -> dict:
    """The values of a category, and what says how many new ones are to be expected.

    customers: (n,), see `customers_of`. Of further customers, about as many in each hundred bring a
    value that was never seen as there are values that one alone had (Good, 1953).
    """
    known = pd.DataFrame({"value": column, "customer": customers}).dropna().astype(str)
    counts = known.drop_duplicates()["value"].value_counts()
    values = sorted(counts.index) if len(counts) <= MOST_KNOWN else None
    return {"values": values, "of_one": int((counts == 1).sum()), "of": known["customer"].nunique()}
