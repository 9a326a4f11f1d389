"""Experiments made by hand, as the pipeline leaves them, without training anything."""

import functools
import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from scipy.special import expit, logit

from fraud_ae.configuration.parts import Gate
from fraud_ae.evaluation.figures import Evaluation
from fraud_ae.experiments.run_store import SCORES, TEST_SCORES
from fraud_ae.pipeline.comparison import compare_experiments
from fraud_ae.pipeline.data_facts import DATA
from fraud_ae.pipeline.gate import decide
from fraud_ae.runtime.named_objects import class_path
from fraud_ae.scorers.calibrated import CalibratedScorer
from fraud_ae.sweeps.leaderboard import write_leaderboard

FINGERPRINT = "0123456789abcdef"
EVALUATION = Evaluation(replicates=20)
_LOST = {"run_id": None, "objective": None, "metrics": {}}
WINNER, PRODUCTION = "f" * 16, "e" * 16
_FRAUD_SHARE = 0.06
_OVERRIDES = ["data=custom", 'data.columns.device="Gerät"']
_DATA = {
    "fingerprint": FINGERPRINT,
    "rows": 10_000,
    "from": "2024-01-01T00:00:00+00:00",
    "to": "2024-04-04T00:00:00+00:00",
}
_SPLIT = {
    "train": ("2024-01-01", "2024-03-01"),
    "validation": ("2024-03-08", "2024-03-18"),
    "test": ("2024-03-25", "2024-04-04"),
}


def _part(name: str) -> dict:
    start, end = (f"{day}T00:00:00+00:00" for day in _SPLIT[name])
    return {"rows": 1500, "frauds": 90, "start": start, "end": end}


def reason(value: str, usual: str, share: float) -> dict:
    """A reason, as a run saves it."""
    return {"value": value, "usual": usual, "share": share}


def scored(
    part: str,
    gain: float,
    *,
    customers: bool = True,
    frauds: bool = True,
    calibrated: bool = False,
) -> pd.DataFrame:
    """1,500 rows of ten days with scores that see the more of the frauds, the higher the gain.

    calibrated: the scores are the very probabilities of fraud.
    """
    rng = np.random.default_rng([ord(part[0]), round(100 * gain)])
    rows = np.random.default_rng(ord(part[0]))
    n = 1500
    is_fraud = (rows.random(n) < _FRAUD_SHARE) & frauds
    seconds = np.sort(rows.integers(0, 10 * 86_400, n))
    evidence = rng.normal(size=n) + gain * is_fraud
    if calibrated:
        # What two normal distributions, and the share of frauds, say by Bayes' theorem.
        scores = expit(logit(_FRAUD_SHARE) + gain * evidence - gain**2 / 2)
    else:
        scores = np.exp(evidence).round(3)
    frame = pd.DataFrame(
        {
            "transaction_id": [f"{part[0].upper()}{number:04d}" for number in range(n)],
            "customer_id": [f"C{number}" for number in rows.integers(0, 200, n)],
            "timestamp": pd.Timestamp(_SPLIT[part][0], tz="UTC")
            + pd.to_timedelta(seconds, unit="s"),
            "amount": rows.lognormal(3, 1, n).round(2),
            "is_fraud": is_fraud.astype(np.int8),
            "score": scores.astype(np.float32),
        }
    )
    frame["timestamp"] = frame["timestamp"].dt.as_unit("us")
    return frame if customers else frame.drop(columns="customer_id")


@functools.cache
def rated(gain: float, **of: bool) -> tuple[pd.DataFrame, dict]:
    """Scored validation rows, and their figures."""
    rows = scored("validation", gain, **of)
    return rows, EVALUATION.figures(rows, EVALUATION.policy.choose(rows))


def compared(name: str, **values: object) -> dict:
    """A row of `compare_experiments`; what an experiment has not come to is missing."""
    return {**dict.fromkeys(compare_experiments(Path("nowhere"))), "experiment": name, **values}


class MadeExperiment:
    """Writes an experiment into a folder, stage by stage."""

    def __init__(
        self,
        folder: Path,
        *,
        customers: bool = True,
        frauds: bool = True,
        calibrated: bool = False,
        strategies: tuple[str, ...] = ("combined", "baseline"),
    ) -> None:
        self.folder = folder
        self._of = {"customers": customers, "frauds": frauds, "calibrated": calibrated}
        self._strategies = strategies
        self._numbers = itertools.count(1)

    def until(self, stage: str) -> "MadeExperiment":
        """All stages up to this one."""
        for name in ("features", "broad", "refined", "final", "production"):
            getattr(self, name)()
            if name == stage:
                break
        return self

    def whole(self, **parameters: tuple) -> "MadeExperiment":
        """All that an experiment may have; parameters: see `broad`."""
        self.features()
        self.gate()
        self.broad(parameters)
        for stage in ("refined", "final", "production", "top_transactions"):
            getattr(self, stage)()
        if self._of["calibrated"]:
            self.scorer(class_path(CalibratedScorer()))
        return self

    def features(self) -> None:
        gains = zip(self._strategies, np.linspace(2.0, 0.5, len(self._strategies)), strict=True)
        results = [self._result(gain, features=name) for name, gain in gains]
        lost = {"status": "refused", "reason": "the data have no customer_id", **_LOST}
        results.append({**results[0], **lost})
        results[-1]["choices"] = {**results[0]["choices"], "features": "behavioural"}
        write_leaderboard(self.folder, "features", results)
        self._write_yaml("best_features.yaml", self._configuration())
        facts = {
            **_DATA,
            "name": "made",
            "before_test": {"rows": 8000, "frauds": 480, "fraud_ratio": 0.06},
            "label_delay_days": 7.0,
            "split": {part: _part(part) for part in ("train", "validation")},
            "commands": [_OVERRIDES, [*_OVERRIDES, "stages=[broad]", "gate.force=true"]],
        }
        (self.folder / DATA).write_text(json.dumps(facts))

    def gate(self, baseline_auc: float = 0.6) -> dict:
        return decide(self.folder, Gate(baseline_auc=baseline_auc))

    def broad(self, further: dict | None = None) -> None:
        """further: parameters beside the usual ones, each with two values in turn."""
        grid = itertools.product((8, 16, 32), ("relu", "tanh"), (0.001, 0.0005))
        results = []
        for latent_dim, activation, rate in grid:
            parameters = {
                "model.latent_dim": latent_dim,
                "model.activation": activation,
                "trainer.learning_rate": rate,
                "trainer.batch_size": 128,
            }
            for name, values in (further or {}).items():
                parameters[name] = values[len(results) % len(values)]
            gain = 1.5 + latent_dim / 40 + (activation == "relu") / 10
            results.append(self._result(gain, parameters, candidate="features_01"))
        results[-1] |= {"status": "diverged", "reason": "the loss became infinite", **_LOST}
        write_leaderboard(self.folder, "broad", results)

    def refined(self) -> None:
        results = [self._result(2.4 - n / 5, candidate=f"broad_0{n}") for n in (1, 2, 3)]
        write_leaderboard(self.folder, "refined", results)

    def final(self) -> None:
        best = self._result(2.6, candidate="refined_01", run_id=WINNER)
        results = [best, self._result(2.2, candidate="refined_02")]
        write_leaderboard(self.folder, "final", results)
        self._write_yaml("final_config.yaml", self._configuration())

    def production(self) -> None:
        validation = pd.read_parquet(self.folder / "runs" / WINNER / SCORES)
        test = scored("test", 2.4, **self._of)
        run = self.folder / "runs" / PRODUCTION
        run.mkdir(parents=True)
        test.assign(deployed_score=test["score"]).to_parquet(run / TEST_SCORES, index=False)
        validation.to_parquet(run / SCORES, index=False)
        (run / "metrics.json").write_text("{}")
        threshold = EVALUATION.policy.choose(validation)
        on_validation, on_test = (EVALUATION.figures(r, threshold) for r in (validation, test))
        on_test = {name.replace("final_auc", "test_auc"): v for name, v in on_test.items()}
        policy = {"method": "percentile", "percentile": 95.0}
        info = {
            "created": "2024-05-01T10:00:00+00:00",
            "run_id": PRODUCTION,
            "labels": {"unsupervised": False},
            "figures": {
                "winner": {"run_id": WINNER, "validation": on_validation, "test": on_test},
                "deployed": {
                    "fitted_on": "train+validation",
                    "threshold": threshold,
                    "threshold_from": "validation rows, in 3 parts",
                    "threshold_policy": policy,
                    "test": on_test,
                },
            },
            "data": {**_DATA, "split": {part: _part(part) for part in _SPLIT}},
            "configuration": self._configuration(),
            "versions": {"python": "3.11.7"},
        }
        self._write_yaml("model_info.yaml", info)

    def scorer(self, name: str, fallback: str | None = None) -> None:
        """What every run so far scores with, and why it does not do so."""
        for run in (self.folder / "runs").iterdir():
            model = run / "model"
            model.mkdir(exist_ok=True)
            (model / "detector.json").write_text(json.dumps({"scorer": name}))
            (model / "scorer.json").write_text(json.dumps({"fallback": fallback}))

    def top_transactions(self, **changes: object) -> None:
        """Reasons for the highest scores of the winner."""
        row = {
            "transaction_id": "V0001",
            "customer_id": "C7",
            "timestamp": "2024-03-09T10:00:00+00:00",
            "amount": 1234.5,
            "is_fraud": 1,
            "score": 9.25,
            "reasons": [
                reason("new device", "in 4% of transactions", 0.7),
                reason("amount 1,234.50", "usually 5 to 80", 0.2),
            ],
            **changes,
        }
        path = self.folder / "runs" / WINNER / "top_transactions.json"
        path.write_text(json.dumps([row]))

    def _result(
        self,
        gain: float,
        parameters: dict | None = None,
        run_id: str | None = None,
        **choices: str,
    ) -> dict:
        rows, figures = rated(gain, **self._of)
        run_id = run_id or f"{next(self._numbers):016x}"
        run = self.folder / "runs" / run_id
        run.mkdir(parents=True)
        rows.to_parquet(run / SCORES, index=False)
        epochs = np.arange(1, 6)
        history = {"epoch": epochs, "train_loss": 1 / epochs, "val_loss": 1.2 / epochs}
        pd.DataFrame(history).to_csv(run / "history.csv", index=False)
        self._write_yaml(run / "config.yaml", {"model": {"latent_dim": 8}})
        (run / "metrics.json").write_text("{}")
        facts = {"best_epoch": 5, "epochs": 5, "feature_count": 12, "train_seconds": 1.5}
        usual = {"candidate": None, "features": self._strategies[0], "model": "autoencoder"}
        return {
            "status": "finished",
            "reason": None,
            "run_id": run_id,
            "reused": False,
            "choices": {**usual, **choices},
            "parameters": parameters or {},
            "extra": [],
            "objective": figures["final_auc"],
            "data": FINGERPRINT,
            "metrics": {**figures, **facts},
        }

    def _configuration(self) -> dict:
        return {
            "experiment": self.folder.name,
            "objective": "final_auc",
            "data": {"name": "made", "split": {"label_delay_days": 7.0}},
            "metrics": {"extra": {}},
        }

    def _write_yaml(self, name: str | Path, content: dict) -> None:
        (self.folder / name).write_text(yaml.safe_dump(content, sort_keys=False))
