"""The figures of a finished run, however they are to be read; nothing is trained."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict

from fraud_ae import __version__
from fraud_ae.errors import UserError
from fraud_ae.evaluation.breakdown import breakdown
from fraud_ae.evaluation.custom_metrics import RUN_FACTS, extra_metrics
from fraud_ae.evaluation.figures import Evaluation, alert_figures, ranking_figures
from fraud_ae.evaluation.labelled import labelled
from fraud_ae.evaluation.planted_figures import planted_figures
from fraud_ae.experiments.run_store import Run
from fraud_ae.runtime.kept_files import parse_json, read_kept, write_kept_json


def evaluate_run(run: Run, evaluation: Evaluation) -> dict:
    """The figures of a finished run at another threshold or with other metrics.

    Built-in figures are kept with the run, so that they are computed once; metrics of the user's
    own may change at any time. Raises UserError if one of these fails.
    """
    facts = {name: value for name, value in run.metrics().items() if name in RUN_FACTS}
    return {**_built_in(run, evaluation), **_own(run, evaluation), **facts}


def write_groups(run: Run, evaluation: Evaluation) -> None:
    """Write the results by group of a run anew, at the threshold that is asked for."""
    scored = run.scores()
    run.write_groups(breakdown(scored, evaluation.policy.choose(scored)))


def first_figures(run: Run, evaluation: Evaluation) -> tuple[dict, UserError | None]:
    """The figures of a run whose scores have just been written, and what is wrong with the user's.

    Whatever a metric of the user's own does with these scores, the training is not lost.
    """
    figures = _built_in(run, evaluation)
    try:
        return {**figures, **_own(run, evaluation)}, None
    except UserError as error:
        return figures, error


def _own(run: Run, evaluation: Evaluation) -> dict:
    if not evaluation.extra:
        return {}
    scored = labelled(run.scores())
    if scored.empty:
        return dict.fromkeys(evaluation.extra)
    labels, scores = scored["is_fraud"].to_numpy(), scored["score"].to_numpy()
    return extra_metrics(labels, scores, evaluation.extra)


def _built_in(run: Run, evaluation: Evaluation) -> dict:
    policy, top_k, replicates = evaluation.policy, evaluation.top_k, evaluation.replicates

    def at_threshold() -> dict:
        scored = run.scores()
        return alert_figures(scored, policy.choose(scored), top_k)

    planted = {}
    if run.has_planted_scores:
        settings = {"planted": True, "replicates": replicates}
        planted = _kept(run, settings, lambda: planted_figures(run.planted_scores(), replicates))
    return {
        **planted,
        **_kept(run, {"replicates": replicates}, lambda: ranking_figures(run.scores(), replicates)),
        **_kept(run, {"policy": asdict(policy), "top_k": top_k}, at_threshold),
    }


def _kept(run: Run, settings: dict, compute: Callable[[], dict]) -> dict:
    settings = {"version": __version__, **settings}
    name = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
    path = run.folder / "evaluations" / f"{name}.json"
    kept = read_kept(path, parse_json)
    if kept is not None:
        return kept["figures"]
    figures = compute()
    write_kept_json(path, {"settings": settings, "figures": figures})
    return figures
