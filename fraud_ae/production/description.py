"""What `model_info.yaml` says of the model for production: figures, data, labels and history."""

import platform
from dataclasses import asdict
from importlib.metadata import version

import pandas as pd

from fraud_ae import __version__
from fraud_ae.audit.history_check import features_beyond_history
from fraud_ae.audit.label_use import features_from_labels
from fraud_ae.data.sources import Dataset
from fraud_ae.data.split import Split
from fraud_ae.detector.detector import FraudDetector
from fraud_ae.detector.trailing_history import TrailingHistory
from fraud_ae.detector.usual_shares import usual_shares
from fraud_ae.evaluation.breakdown import breakdown
from fraud_ae.evaluation.custom_metrics import PLANTED_AUC
from fraud_ae.evaluation.figures import Evaluation
from fraud_ae.evaluation.planted_figures import planted_figures
from fraud_ae.evaluation.threshold import NEEDS_FRAUD
from fraud_ae.experiments.run_store import TEST_SCORES, Run
from fraud_ae.features.history import history_of
from fraud_ae.production.plan import Plan

_PACKAGES = ("torch", "pytorch-lightning", "scikit-learn", "pandas", "polars", "numpy")


def describe(
    plan: Plan,
    dataset: Dataset,
    split: Split,
    detector: FraudDetector,
    evaluation: Evaluation,
    created: str,
    remembered: TrailingHistory | None,
) -> dict:
    """The content of `model_info.yaml`, as plain data.

    detector: the deployed fit with its threshold. created: when it was fitted, ISO in UTC.
    remembered: the transactions that are kept with the model.
    """
    transactions = dataset.transactions
    visible = transactions[split.before_test(transactions)]
    return {
        "name": plan.experiment,
        "created": created,
        "run_id": plan.run.id,
        "labels": _label_use(plan, detector, visible),
        "figures": _figures(plan, evaluation),
        "data": {
            "fingerprint": dataset.fingerprint,
            "rows": len(transactions),
            "from": transactions["timestamp"].iloc[0].isoformat(),
            "to": transactions["timestamp"].iloc[-1].isoformat(),
            "split": split.describe(transactions),
        },
        "feature_names": detector.feature_names,
        # The same in all rows that the model was fitted on, or missing in all of them.
        "left_out_features": list(detector.encoder.left_out_),
        "history": _history(detector, visible, remembered),
        "usual": usual_shares(transactions, plan.run.scores(), detector.threshold),
        "configuration": plan.configuration,
        "versions": {
            "fraud_ae": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in _PACKAGES},
        },
    }


def _figures(plan: Plan, evaluation: Evaluation) -> dict:
    """All figures, each under the fit that it belongs to, read from kept scores."""
    policy = evaluation.policy
    winner_scores, held_out = plan.winner.scores(), plan.run.scores()
    test = pd.read_parquet(plan.run.folder / TEST_SCORES)
    threshold, deployed_threshold = policy.choose(winner_scores), policy.choose(held_out)
    facts = plan.winner.metrics()
    validation = {
        **_planted(plan.winner, evaluation),
        **evaluation.figures(winner_scores, threshold),
    }
    # The planted scores of the deployed fit's run are those of the test rows.
    figures = {**_planted(plan.run, evaluation), **evaluation.figures(test, threshold)}
    deployed = {
        "fitted_on": plan.fit_on,
        "threshold": deployed_threshold,
        "threshold_from": _threshold_source(plan),
        "threshold_policy": asdict(policy),
    }
    if "deployed_score" in test:
        of_deployed = test.assign(score=test["deployed_score"])
        deployed["test"] = _as_test(evaluation.figures(of_deployed, deployed_threshold))
    return {
        "winner": {
            "fitted_on": "train",
            "run_id": plan.winner.id,
            **plan.origin,
            **{k: facts[k] for k in ("best_epoch", "feature_count", "fraud_ratio")},
            "validation": validation,
            "test": _as_test(figures),
            "optimism": _optimism(validation, figures),
            "validation_by_group": _by_group(winner_scores, threshold),
            "test_by_group": _by_group(test, threshold),
        },
        "deployed": deployed,
    }


def _planted(run: Run, evaluation: Evaluation) -> dict:
    scored = run.planted_scores()
    return {} if scored is None else planted_figures(scored, evaluation.replicates)


def _optimism(validation: dict, test: dict) -> dict:
    """How much better the figures of the rows are that the winner was chosen on."""
    return {
        name: None if None in (validation[name], test[name]) else validation[name] - test[name]
        for name in (PLANTED_AUC, "final_auc", "average_precision", "precision", "recall", "f1")
        if name in validation and name in test
    }


def _by_group(scored: pd.DataFrame, threshold: float) -> list[dict]:
    rows = breakdown(scored, threshold).to_dict("records")
    return [{k: None if pd.isna(v) else v for k, v in row.items()} for row in rows]


def _as_test(figures: dict) -> dict:
    return {name.replace("final_auc", "test_auc"): value for name, value in figures.items()}


def _threshold_source(plan: Plan) -> str:
    if plan.fit_on == "train":
        return "validation rows, which the model was not fitted on"
    period = "test" if plan.fit_on == "all" else "validation"
    return f"{period} rows, in {plan.folds} parts, each scored by a fit without it"


def _history(
    detector: FraudDetector, transactions: pd.DataFrame, remembered: TrailingHistory | None
) -> dict:
    """How far the features look back, those that look further, and what the model remembers."""
    declared = asdict(history_of(detector.strategy))
    forgetful = features_beyond_history(detector.strategy, transactions)
    return {
        **declared,
        "first_uses": list(declared["first_uses"]),
        "forgetful_features": forgetful,
        "remembered": None
        if remembered is None
        else {
            "transactions": len(remembered),
            "from": remembered.transactions["timestamp"].iloc[0].isoformat(),
            "to": remembered.last.isoformat(),
        },
    }


def _label_use(plan: Plan, detector: FraudDetector, transactions: pd.DataFrame) -> dict:
    """What labels went into the detector; without any of it, it may be called unsupervised."""
    features = features_from_labels(plan.strategy, transactions)
    scorer, method = detector.scorer, detector.threshold_policy.method
    has_labels = "is_fraud" in transactions and transactions["is_fraud"].notna().any()
    # One that learns labels has read them even if they were too few to learn from.
    learned = features or plan.recipe.scorer.learns_labels or method in NEEDS_FRAUD
    return {
        "unsupervised": not has_labels or (plan.recipe.train_on == "all" and not learned),
        "none_known": not has_labels,
        "train_on": plan.recipe.train_on,
        "features_from_labels": features,
        "scorer": type(scorer).__name__,
        "scorer_uses_labels": scorer.uses_labels,
        "scorer_fallback": scorer.fallback,
        "threshold_uses_labels": method in NEEDS_FRAUD,
    }
