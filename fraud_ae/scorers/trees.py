"""Boosted trees that tell fraud from the rest: fitting, odds, and files without pickle."""

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fraud_ae.errors import UserError
from fraud_ae.runtime.atomic_files import write_json

if TYPE_CHECKING:
    from xgboost import Booster

_ROUNDS = 160
_MAX_BIN = 64
_PARAMETERS = {
    "objective": "binary:logistic",
    "tree_method": "hist",
    "max_bin": _MAX_BIN,
    "learning_rate": 0.06,
    "max_depth": 4,
    "colsample_bynode": 0.15,
    "reg_lambda": 1.0,
    # They wait for one another after every split: on a busy machine, ten times as long.
    "nthread": 1,
}


def fit_trees(
    seed: int, evidence: np.ndarray, labels: np.ndarray, rounds: int = _ROUNDS
) -> "Booster":
    """Gradient boosting on histograms. evidence: (n, d) float32. labels: (n,) 0 or 1, both there.

    rounds: fewer take larger steps.

    Friedman, Annals of Statistics 29, 2001; XGBoost: Chen and Guestrin, KDD 2016. Each split looks
    at a part of the columns (Breiman, Machine Learning 45, 2001): frauds are few and columns many,
    and the best column of all is often so by chance.
    """
    import xgboost

    # Bins whose edges come from as many normal rows as frauds: among all rows the frauds are a tail
    # that would fall into one bin.
    frauds, normal = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    some = normal[:: max(1, len(normal) // len(frauds))]
    settings = {"max_bin": _MAX_BIN, "nthread": 1}
    edges = xgboost.QuantileDMatrix(evidence[np.append(frauds, some)], **settings)
    data = xgboost.QuantileDMatrix(evidence, labels, ref=edges, **settings)
    rate = _PARAMETERS["learning_rate"] * _ROUNDS / rounds
    return xgboost.train({**_PARAMETERS, "learning_rate": rate, "seed": seed}, data, rounds)


def log_odds(trees: "Booster", evidence: np.ndarray) -> np.ndarray:
    """Logarithm of the odds of fraud. (n, d) float32 -> (n,) float32."""
    # All threads that this process may use: here they need not wait for one another.
    trees.set_param({"nthread": 0})
    return trees.inplace_predict(evidence, predict_type="margin")


def save_trees(members: Sequence["Booster"], path: Path) -> None:
    """Write the trees in XGBoost's own binary JSON, which is no pickle, with a checksum."""
    raw = [bytes(trees.save_raw("ubj")) for trees in members]
    texts = [base64.b64encode(tree).decode() for tree in raw]
    write_json(path, {"sha256": _checksum(raw), "trees": texts})


def load_trees(path: Path) -> list["Booster"]:
    """The trees that `save_trees` wrote. Raises UserError if the file is damaged."""
    import xgboost

    try:
        content = json.loads(path.read_text())
        raw = [base64.b64decode(text, validate=True) for text in content["trees"]]
        # XGBoost follows the numbers of a tree without looking, so no damage must get through.
        if _checksum(raw) != content["sha256"]:
            raise ValueError("the checksum is another")
        return [xgboost.Booster(model_file=bytearray(tree)) for tree in raw]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"{path}: the trees of this scorer are damaged ({reason})") from error


def _checksum(members: Sequence[bytes]) -> str:
    return hashlib.sha256(b"".join(members)).hexdigest()
