"""The figures of a finished run, however they are to be read; nothing is trained."""

import hashlib
import json
from dataclasses import asdict

import pandas as pd

from fraud_ae import __version__
from fraud_ae.atomic_files import write_json
from fraud_ae.errors import UserError
from fraud_ae.evaluation.breakdown import COLUMNS, breakdown
from fraud_ae.evaluation.figures import Evaluation
from fraud_ae.evaluation.metrics import RUN_FACTS, extra_metrics
from fraud_ae.run_store import Run


def evaluate_run(run: Run, evaluation: Evaluation) -> dict:
    """The figures of a finished run at another threshold or with other metrics.

    The run's results by group are written anew, at that threshold. Built-in figures are kept with
    the run, so that they are computed once; metrics of the user's own may change at any time.
    Raises UserError if one of these fails.
    """
    kept = _kept_figures(run, evaluation)
    run.write_groups(pd.DataFrame(kept["groups"], columns=list(COLUMNS)))
    facts = {name: value for name, value in run.metrics().items() if name in RUN_FACTS}
    return {**kept["figures"], **_own_figures(run, evaluation), **facts}


def first_figures(run: Run, evaluation: Evaluation) -> tuple[dict, UserError | None]:
    """The figures of a run whose scores have just been written, and what is wrong with the user's.

    Whatever a metric of the user's own does with these scores, the training is not lost.
    """
    figures = _kept_figures(run, evaluation)["figures"]
    try:
        return {**figures, **_own_figures(run, evaluation)}, None
    except UserError as error:
        return figures, error


def _own_figures(run: Run, evaluation: Evaluation) -> dict:
    if not evaluation.extra:
        return {}
    scored = run.scores()
    labels, scores = scored["is_fraud"].to_numpy(), scored["score"].to_numpy()
    return extra_metrics(labels, scores, evaluation.extra)


def _kept_figures(run: Run, evaluation: Evaluation) -> dict:
    built_in = Evaluation(evaluation.policy, {}, evaluation.top_k, evaluation.replicates)
    settings = {"version": __version__, **asdict(built_in)}
    name = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
    path = run.folder / "evaluations" / f"{name}.json"
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        pass  # not computed yet, or damaged
    scored = run.scores()
    threshold = built_in.policy.choose(scored)
    groups = breakdown(scored, threshold)
    kept = {
        "settings": settings,
        "figures": built_in.figures(scored, threshold),
        "groups": groups.astype(object).where(groups.notna(), None).to_dict("records"),
    }
    write_json(path, kept)
    return kept
