"""A challenger beside the model in production, on the same rows, which neither was fitted on."""

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from fraud_ae.configuration.parts import Promotion
from fraud_ae.data.sources import Dataset
from fraud_ae.data.split import Split
from fraud_ae.data.values.times import newest
from fraud_ae.detector.detector import FraudDetector
from fraud_ae.errors import UserError
from fraud_ae.evaluation.bootstrap import METRICS, paired_bootstrap
from fraud_ae.evaluation.custom_metrics import PLANTED_AUC
from fraud_ae.evaluation.metrics import ranking_metrics
from fraud_ae.evaluation.planted_figures import compare_planted, planted_auc
from fraud_ae.experiments.planted_inputs import PlantedInputs


@dataclass(frozen=True)
class Contest:
    """The rows that both models can be judged on, with the scores of both.

    rows: transaction_id, customer_id (where there are customers), timestamp, is_fraud, champion
    and challenger (scores; champion is missing where it cannot score them). alerts: of the
    champion at its own threshold among these rows. seen, unknown: numbers of test rows that were
    left out, as the champion had seen them, or as their label is not known yet. fitted_on: rows
    that the fit was made of which stands for the challenger. problem: why the champion has no
    scores, None where it has. planted: where no row has a label, planted scores (see
    `evaluation.planted_figures`) of the challenger, with the champion's in the column `champion`.
    """

    rows: pd.DataFrame
    alerts: int
    seen: int
    unknown: int
    fitted_on: str
    problem: str | None = None
    planted: pd.DataFrame | None = None


def contest(
    champion: FraudDetector,
    champion_info: dict,
    challenger: FraudDetector,
    challenger_info: dict,
    test: pd.DataFrame,
    dataset: Dataset,
    split: Split,
) -> Contest:
    """Score the test rows of the challenger's data with the champion, and keep those that count.

    champion_info, challenger_info: what their `model_info.yaml` says. challenger: the fit that
    stands for it, which has not seen these rows. test: the challenger's test
    rows as they were scored once: `score` of the fit on the training rows, and `deployed_score`
    where the deployed fit has not seen them. dataset, split: of the challenger; all earlier rows
    are the history that the champion's features look back on.

    Left out are rows up to the end of what the champion was fitted or chosen on, and rows younger
    than the label delay when the data end, whose frauds are not all known by then. Without
    any label the latter count, and anomalies are planted in copies of the rows.
    """
    times = dataset.transactions["timestamp"]
    known_until = newest(times) - pd.Timedelta(days=split.label_delay_days)
    deployed = "deployed_score" in test
    seen = (test["timestamp"] <= _seen_until(champion_info)).to_numpy()
    has_label = test["is_fraud"].notna().to_numpy()
    unknown = (test["timestamp"] > known_until).to_numpy() & ~seen & has_label.any()
    columns = ["transaction_id", "customer_id", "timestamp", "is_fraud"]
    rows = test[[c for c in columns if c in test]].assign(
        challenger=test["deployed_score" if deployed else "score"]
    )
    counted = ~(seen | unknown) & (has_label | ~has_label.any())
    judgement = challenger_info["figures"]["deployed"]["fitted_on"] if deployed else "train"
    facts = {"seen": int(seen.sum()), "unknown": int(unknown.sum()), "fitted_on": judgement}
    try:
        scores = champion.score_transactions(dataset.transactions, split.test(dataset.transactions))
    except (UserError, KeyError) as error:
        problem = f"the champion cannot score these transactions: {error}"
        rows = rows.assign(champion=np.nan)[counted]
        return Contest(rows.reset_index(drop=True), 0, **facts, problem=problem)
    rows = rows.assign(champion=scores)[counted].reset_index(drop=True)
    if len(rows) and not has_label.any():
        facts["planted"] = _planted(champion, challenger, rows, dataset)
    alerts = 0 if champion.threshold is None else int((rows["champion"] > champion.threshold).sum())
    return Contest(rows, alerts, **facts)


def _planted(
    champion: FraudDetector, challenger: FraudDetector, rows: pd.DataFrame, dataset: Dataset
) -> pd.DataFrame:
    """Planted scores of both on the same copies of the rows that count."""
    transactions = dataset.transactions
    mask = transactions["transaction_id"].isin(rows["transaction_id"]).to_numpy()
    has_times = bool(dataset.source_format.sources("timestamp"))
    # In order of time, as the rows are.
    of_champion, of_challenger = (
        PlantedInputs.of(detector, transactions, mask, has_times).scored(
            detector, rows[name].to_numpy()
        )
        for name, detector in (("champion", champion), ("challenger", challenger))
    )
    return of_challenger.assign(champion=of_champion["score"])


def judge(contest: Contest, policy: Promotion) -> dict:
    """Whether the challenger is to be promoted, and all that speaks for it.

    Returns plain data: promoted, verdict (`better`, `not worse`, `worse or unclear`, `cannot
    tell`), reason (a sentence), rows (from, to, number, frauds, what was left out, fitted_on),
    figures (metric -> champion, challenger, difference, low, high), alerts (both at the number of
    alerts that the champion raised: rate, and precision and recall of each) and policy.
    """
    rows = contest.rows
    frauds = int((rows["is_fraud"] == 1).sum())
    judgement = {
        "rows": {
            "from": rows["timestamp"].iloc[0].isoformat() if len(rows) else None,
            "to": rows["timestamp"].iloc[-1].isoformat() if len(rows) else None,
            "number": len(rows),
            "frauds": frauds,
            "planted": 0 if contest.planted is None else int(contest.planted["kind"].notna().sum()),
            "seen_by_champion": contest.seen,
            "label_not_known": contest.unknown,
            "challenger_fitted_on": contest.fitted_on,
        },
        "figures": {},
        "alerts": None,
        "policy": asdict(policy),
    }
    problem, metric = contest.problem, policy.metric
    if contest.planted is not None:
        metric = PLANTED_AUC
        judgement["figures"] = {metric: _compared_planted(contest.planted, policy)}
        judgement["policy"]["metric"] = metric
    elif problem is None:
        problem = _too_little(len(rows), frauds, policy)
        if problem is None:
            judgement["figures"] = {name: _compared(rows, name, policy) for name in METRICS}
            judgement["alerts"] = _alerts(contest)
    verdict, reason = _verdict(judgement["figures"].get(metric), problem, policy)
    promoted = {
        "always": True,
        "never": False,
        "better": verdict == "better",
        "not_worse": verdict in ("better", "not worse"),
    }[policy.policy]
    return {"promoted": promoted, "verdict": verdict, "reason": reason, **judgement}


def _seen_until(info: dict) -> pd.Timestamp:
    """The time of the last transaction that a model was fitted or chosen on, at the most."""
    data, fitted_on = info["data"], info["figures"]["deployed"]["fitted_on"]
    if fitted_on == "all":
        return pd.Timestamp(data["to"])
    # A fit on the training rows has learned from validation, too: epochs, scorer, threshold.
    return pd.Timestamp(data["split"]["validation"]["end"]) - pd.Timedelta(1, unit="us")


def _too_little(rows: int, frauds: int, policy: Promotion) -> str | None:
    if frauds < policy.least_frauds:
        return f"{frauds} frauds in {rows:,} rows; {policy.least_frauds} are needed"
    return None if frauds < rows else f"all {rows:,} rows are frauds"


def _compared(rows: pd.DataFrame, metric: str, policy: Promotion) -> dict:
    labels = rows["is_fraud"].to_numpy()
    clusters = rows["customer_id" if "customer_id" in rows else "transaction_id"]
    scores = {name: rows[name].to_numpy() for name in ("champion", "challenger")}
    judgement = paired_bootstrap(
        labels,
        scores["challenger"],
        scores["champion"],
        clusters,
        metric=metric,
        replicates=policy.replicates,
        confidence=policy.confidence,
    )
    figures = {name: ranking_metrics(labels, values)[metric] for name, values in scores.items()}
    return figures | {name: judgement[name] for name in ("difference", "low", "high")}


def _compared_planted(planted: pd.DataFrame, policy: Promotion) -> dict:
    comparison = compare_planted(
        planted,
        planted["champion"].to_numpy(),
        replicates=policy.replicates,
        confidence=policy.confidence,
    )
    champion = planted.assign(score=planted["champion"])
    return {
        "champion": planted_auc(champion),
        "challenger": planted_auc(planted),
        **{name: comparison[name] for name in ("difference", "low", "high")},
    }


def _verdict(figures: dict | None, problem: str | None, policy: Promotion) -> tuple[str, str]:
    if figures is None or figures["low"] is None:
        return "cannot tell", problem or "all rows are of one customer, so there is no interval"
    low = figures["low"]
    if low > 0:
        return "better", f"the interval begins at {low:+.4f}, above 0"
    if low >= -policy.tolerance:
        return "not worse", f"the interval begins at {low:+.4f}, within {-policy.tolerance:+g}"
    return "worse or unclear", f"the interval begins at {low:+.4f}, below {-policy.tolerance:+g}"


def _alerts(contest: Contest) -> dict | None:
    """Both models with as many alerts as the champion raises."""
    rows, count = contest.rows, contest.alerts
    if count == 0:
        return None
    frauds = (rows["is_fraud"] == 1).to_numpy()
    judgement = {"rate": count / len(rows), "number": count}
    for name in ("champion", "challenger"):
        highest = np.argsort(-rows[name].to_numpy(), kind="stable")[:count]
        caught = int(frauds[highest].sum())
        judgement[name] = {"precision": caught / count, "recall": caught / int(frauds.sum())}
    return judgement
