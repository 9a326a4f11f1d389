"""Retraining: a pipeline on new data as a challenger, and the decision who is in production."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
from filelock import FileLock, Timeout

from fraud_ae.configuration.build import dataset_of, split_of, tracked_run
from fraud_ae.configuration.command_line import OUTPUTS, override_key
from fraud_ae.detector.model_info import MODEL_INFO
from fraud_ae.detector.versions import Versions, copy_model
from fraud_ae.errors import UserError
from fraud_ae.experiments.run_store import TEST_SCORES
from fraud_ae.pipeline.gate import DECISION
from fraud_ae.pipeline.stages import run_stages
from fraud_ae.runtime.yaml_files import read_yaml
from fraud_ae.tracking.tracker import track_run

# Overrides of a retraining that say nothing about its challenger.
_OWN_KEYS = ("experiment", "mode", "promotion")
# Settings that no training of a challenger depends on.
_NO_TRAINING = (
    "experiment",
    "mode",
    "promotion",
    "gate",
    "stages",
    "retrain",
    "wandb",
    "summary",
    "report",
    "workspace",
    "experiments",
    "audit",
    "allow_features",
)
# Decisions about no version: the pipeline made no model, or the very one that is in production.
_GATE, _SAME = "stopped at the gate", "same model"


@dataclass(frozen=True)
class Retraining:
    """What became of a retraining. experiments: the champion's and the challenger's names."""

    decision: dict
    experiments: tuple[str, str]


def retrain(settings: dict, overrides: Sequence[str]) -> Retraining:
    """Run a pipeline on the configured data as a challenger, and promote it if it is good enough.

    settings: the resolved pipeline configuration; its experiment is the champion's. overrides:
    those of the command line. The challenger of version NNNN is the experiment `NAME-NNNN`, with
    all that a pipeline leaves; its model becomes version NNNN of the experiment NAME, promoted or
    not. The same command goes on after a kill, and decides nothing twice: what has been rolled back
    since stays so, unless the policy is another one.

    Raises UserError where no model is in production, there is no production stage, or another
    retraining of the experiment is running.
    """
    name = settings["experiment"]
    versions = Versions(OUTPUTS / name / "models")
    if versions.in_production is None:
        there = sorted(path.parents[1].name for path in OUTPUTS.glob("*/models/production"))
        raise UserError(
            f"{versions.folder / 'production'}: there is no model in production to compare a "
            f"challenger with (experiments that have one: {', '.join(there) or 'none'}). Make the "
            f"first one: python pipeline.py experiment={name} ..."
        )
    if "production" not in settings["stages"]:
        raise UserError("mode=retrain needs the stage production in 'stages=[...]'")
    with versions.lock():
        versions.settle()
    lock = FileLock(OUTPUTS / name / ".locks" / "retraining.lock")
    try:
        with lock.acquire(timeout=0):
            return _retrain(settings, list(overrides), versions)
    except Timeout:
        raise UserError(f"{OUTPUTS / name}: another retraining of it is running") from None


def _retrain(settings: dict, overrides: list[str], versions: Versions) -> Retraining:
    name, dataset = settings["experiment"], dataset_of(settings)
    request = {
        "training": _training(settings, dataset.fingerprint, overrides),
        "policy": {**settings["promotion"], "gate": settings["gate"]},
    }
    number = _number(versions, request)
    challenger = f"{name}-{number}"
    found = Retraining(versions.decisions().get(number, {}), (name, challenger))
    if _is_decided(versions, number, found.decision, request):
        print(f"\nthis retraining has been decided: {versions.decision_file(number)}")
        return found
    if (OUTPUTS / challenger / "models" / "production").exists():
        raise UserError(
            f"{OUTPUTS / challenger}: is an experiment of its own, and would be the challenger's; "
            "move it away"
        )
    _run_challenger(settings, overrides, challenger)
    common = {"kind": "retrain", "experiment": challenger, "request": request}
    with versions.lock():
        decision, package = _decide(settings, versions, OUTPUTS / challenger)
        same = versions.same_as(package) if package else None
        if same is not None and same != versions.in_production:
            number = same
        fill = partial(copy_model, package) if package else None
        decision = versions.decide(number, {**common, **decision}, fill)
    if package is not None:
        _log_version(settings, versions, decision)
    return Retraining(decision, (name, challenger))


def _run_challenger(settings: dict, overrides: list[str], challenger: str) -> None:
    own = [o for o in overrides if override_key(o).partition(".")[0] not in _OWN_KEYS]
    own += [f"experiment={challenger}", "production.challenger=true"]
    production = {**settings["production"], "challenger": True}
    run_stages({**settings, "experiment": challenger, "production": production}, own)


def _training(settings: dict, fingerprint: str, overrides: list[str]) -> str:
    """16 hexadecimal characters, the same where the same challenger comes out."""
    told = {key: value for key, value in settings.items() if key not in _NO_TRAINING}
    # Where the data lie changes nothing.
    told["data"] = {k: v for k, v in told["data"].items() if k not in ("path", "labels")}
    sweeper = [o for o in overrides if override_key(o).startswith(("hydra.sweeper", "hydra/sw"))]
    text = json.dumps([fingerprint, told, sweeper], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _number(versions: Versions, request: dict) -> str:
    """That of an earlier retraining with the same challenger, or the next one."""
    for number, decision in versions.decisions().items():
        if decision.get("request", {}).get("training") == request["training"]:
            return number
    return versions.next_number()


def _is_decided(versions: Versions, number: str, decision: dict, request: dict) -> bool:
    """Whether there is nothing to decide anew."""
    if decision.get("request") != request:
        # In production, whatever the policy was.
        return bool(decision) and number == versions.in_production
    has_been = any(event["version"] == number for event in versions.history)
    is_kept = number in versions.numbers or decision["verdict"] in (_GATE, _SAME)
    return is_kept and (has_been or decision["champion"] == versions.in_production)


def _decide(settings: dict, versions: Versions, experiment: Path) -> tuple[dict, Path | None]:
    """The decision on the model of a challenger's experiment, and its package if it has one."""
    # PyTorch comes with them, which who has decided already need not wait for.
    from fraud_ae.detector.detector import FraudDetector
    from fraud_ae.production.challenger import Policy, contest, judge

    champion = versions.in_production
    gate = json.loads((experiment / DECISION).read_text()) if _asks(settings) else {"tune": True}
    if not gate["tune"]:
        reason = "; ".join(gate["failed"])
        return _none(champion, _GATE, reason), None
    package = experiment / "models" / "final_model"
    if versions.same_as(package) == champion:
        return _none(champion, _SAME, "the challenger is the very model in production"), None
    info, dataset = read_yaml(experiment / MODEL_INFO), dataset_of(settings)
    compared = contest(
        FraudDetector.load(versions.version(champion)),
        versions.info(champion),
        info,
        pd.read_parquet(experiment / "runs" / info["run_id"] / TEST_SCORES),
        dataset,
        split_of(settings, dataset),
    )
    decision = judge(compared, Policy(**settings["promotion"]))
    return {"champion": champion, "data": info["data"]["fingerprint"], **decision}, package


def _asks(settings: dict) -> bool:
    """Whether the gate stands in the way of the challenger."""
    return "features" in settings["stages"]


def _none(champion: str, verdict: str, reason: str) -> dict:
    return {"promoted": False, "champion": champion, "verdict": verdict, "reason": reason}


def _log_version(settings: dict, versions: Versions, decision: dict) -> None:
    """The challenger as a version of the champion's artifact; `production` if it was promoted."""
    folder = versions.version(decision["version"])
    info = read_yaml(folder / MODEL_INFO)
    stage = {"name": "retrain", "tags": ["retrain"]}
    target = tracked_run({**settings, "stage": stage}, {})
    aliases = ("challenger", "production") if decision["promoted"] else ("challenger",)
    kept = versions.folder / "decisions"
    with track_run(target, kept, info["configuration"], info["data"]["fingerprint"]) as tracker:
        artifact, described = f"{settings['experiment']}-detector", {**info, "decision": decision}
        tracker.log_model(folder, folder / MODEL_INFO, artifact, aliases, described)
