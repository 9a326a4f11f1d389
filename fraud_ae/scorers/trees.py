"""Boosted trees that tell fraud from the rest: fitting, odds, and files without pickle."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fraud_ae.atomic_files import write_json
from fraud_ae.errors import UserError

if TYPE_CHECKING:
    from lightgbm import Booster

_ROUNDS = 200
_PARAMETERS = {
    "objective": "binary",
    "learning_rate": 0.05,
    "num_leaves": 16,
    "max_bin": 255,
    "feature_fraction": 0.3,
    "lambda_l2": 1.0,
    "deterministic": True,
    "force_col_wise": True,
    # They wait for one another after every split: on a busy machine, ten times as long.
    "num_threads": 1,
    "verbosity": -1,
}


def fit_trees(seed: int, evidence: np.ndarray, labels: np.ndarray) -> "Booster":
    """Gradient boosting on histograms. evidence: (n, d) float32. labels: (n,) 0 or 1.

    Friedman, Annals of Statistics 29, 2001; histograms: Ke et al., NIPS 2017. Each tree looks at
    a third of the columns (random subspaces: Ho, IEEE PAMI 20, 1998): frauds are few and columns
    many, and the best column of all is often so by chance.
    """
    import lightgbm

    data = lightgbm.Dataset(evidence, labels)
    return lightgbm.train({**_PARAMETERS, "seed": seed}, data, _ROUNDS)


def log_odds(trees: "Booster", evidence: np.ndarray) -> np.ndarray:
    """Logarithm of the odds of fraud. (n, d) float32 -> (n,) float64."""
    # All threads that this process may use: here they need not wait for one another.
    return trees.predict(evidence, raw_score=True, num_threads=0)


def save_trees(members: Sequence["Booster"], path: Path) -> None:
    """Write the trees as text in JSON, with a checksum."""
    texts = [trees.model_to_string() for trees in members]
    write_json(path, {"sha256": _checksum(texts), "trees": texts})


def load_trees(path: Path) -> list["Booster"]:
    """The trees that `save_trees` wrote. Raises UserError if the file is damaged."""
    import lightgbm

    try:
        content = json.loads(path.read_text())
        texts, checksum = content["trees"], content["sha256"]
        # LightGBM follows the numbers of a tree without looking, so no damage must get through.
        if _checksum(texts) != checksum:
            raise ValueError("the checksum is another")
        return [lightgbm.Booster(model_str=text) for text in texts]
    except (OSError, ValueError, KeyError, TypeError, lightgbm.basic.LightGBMError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"{path}: the trees of this scorer are damaged ({reason})") from error


def _checksum(texts: list[str]) -> str:
    return hashlib.sha256("".join(texts).encode()).hexdigest()
