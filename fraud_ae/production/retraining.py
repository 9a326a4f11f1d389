"""Retraining: a pipeline on new data as a challenger, and the decision who is in production."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import pandas as pd
from filelock import FileLock, Timeout

from fraud_ae.configuration.command_line import override_key
from fraud_ae.configuration.pipeline_job import PipelineJob
from fraud_ae.detector.files import MODEL_FILES
from fraud_ae.detector.manifest import check_manifest
from fraud_ae.detector.model_info import MODEL_INFO
from fraud_ae.detector.versions import Versions, copy_model
from fraud_ae.errors import UserError
from fraud_ae.experiments.run_store import TEST_SCORES
from fraud_ae.pipeline.gate import DECISION
from fraud_ae.pipeline.stages import run_stages
from fraud_ae.runtime.kept_files import parse_json, parse_yaml, read_checked
from fraud_ae.tracking.target import DataReference, drawable
from fraud_ae.tracking.tracker import track

# Overrides of a retraining that say nothing about its challenger.
_NOT_PASSED_ON = ("experiment", "promotion")
# Settings of the data that say where they lie, and decide nothing that the data do not.
_GIVEN = ("path", "labels", "join", "allow_unmatched")
# Settings that no training of a challenger depends on.
_NO_TRAINING = (
    "experiment",
    "outputs_dir",
    "promotion",
    "gate",
    "stages",
    "retrain",
    "wandb",
    "summary",
    "allow_features",
)
# Decisions about no version: the pipeline made no model, or the very one that is in production.
_GATE, _SAME = "stopped at the gate", "same model"


@dataclass(frozen=True)
class Retraining:
    """What became of a retraining. experiments: the champion's and the challenger's names."""

    decision: dict
    experiments: tuple[str, str]


def retrain(
    job: PipelineJob, arguments: Sequence[str], run_stage: Callable[[list[str]], None]
) -> Retraining:
    """Run a pipeline on the configured data as a challenger, and promote it if it is good enough.

    job: its experiment is the champion's. arguments, run_stage: see
    `pipeline.stages.run_stages`. The challenger of
    version NNNN is the experiment `NAME-NNNN`, with all that a pipeline leaves; its model becomes
    version NNNN of the experiment NAME, promoted or
    not. The same command goes on after a kill, and decides nothing twice: what has been rolled back
    since stays so, unless the policy is another one.

    Raises UserError where no model is in production, it is damaged, there is no production stage,
    or another retraining of the experiment is running.
    """
    versions = Versions(job.folder / "models")
    if versions.in_production is None:
        others = sorted(path.parents[1].name for path in job.outputs.glob("*/models/production"))
        raise UserError(
            f"{versions.folder / 'production'}: there is no model in production to compare a "
            f"challenger with (experiments that have one: {', '.join(others) or 'none'}). Make the "
            f"first one: python pipeline.py experiment={job.experiment} ..."
        )
    if "production" not in job.stages:
        raise UserError("a retraining needs the stage production in 'stages=[...]'")
    with versions.lock():
        versions.settle()
        # Before hours of training, not after them.
        check_manifest(versions.version(versions.in_production), MODEL_FILES)
    lock = FileLock(job.folder / ".locks" / "retraining.lock")
    try:
        with lock.acquire(timeout=0):
            return _retrain(job, list(arguments), versions, run_stage)
    except Timeout:
        raise UserError(f"{job.folder}: another retraining of it is running") from None


def _retrain(
    job: PipelineJob,
    overrides: list[str],
    versions: Versions,
    run_stage: Callable[[list[str]], None],
) -> Retraining:
    request = {
        "training": _training(job, overrides),
        "policy": {**asdict(job.promotion), "gate": asdict(job.gate)},
    }
    number = _number(versions, request)
    challenger = replace(
        job,
        experiment=f"{job.experiment}-{number}",
        production=replace(job.production, challenger=True),
    )
    names = (job.experiment, challenger.experiment)
    earlier = Retraining(versions.decisions().get(number, {}), names)
    if _is_decided(versions, number, earlier.decision, request):
        print(f"\nthis retraining has been decided: {versions.decision_file(number)}")
        return earlier
    if (challenger.folder / "models" / "production").exists():
        raise UserError(
            f"{challenger.folder}: is an experiment of its own, and would be the challenger's; "
            "move it away"
        )
    _run_challenger(challenger, overrides, run_stage)
    common = {"kind": "retrain", "experiment": challenger.experiment, "request": request}
    with versions.lock():
        decision, package = _decide(challenger, versions)
        same = versions.same_as(package) if package else None
        if same is not None and same != versions.in_production:
            number = same
        fill = partial(copy_model, package) if package else None
        decision = versions.decide(number, {**common, **decision}, fill)
    if package is not None:
        _log_version(job, versions, decision)
    return Retraining(decision, names)


def _run_challenger(
    challenger: PipelineJob, overrides: list[str], run_stage: Callable[[list[str]], None]
) -> None:
    passed_on = [o for o in overrides if override_key(o).partition(".")[0] not in _NOT_PASSED_ON]
    passed_on += [f"experiment={challenger.experiment}", "production.challenger=true"]
    run_stages(challenger, passed_on, run_stage)


def _training(job: PipelineJob, overrides: list[str]) -> str:
    """16 hexadecimal characters, the same where the same challenger comes out."""
    decisive = {key: value for key, value in job.settings.items() if key not in _NO_TRAINING}
    # Where the data lie changes nothing.
    decisive["data"] = {k: v for k, v in decisive["data"].items() if k not in _GIVEN}
    sweeper = [o for o in overrides if override_key(o).startswith(("hydra.sweeper", "hydra/sw"))]
    text = json.dumps([job.dataset.fingerprint, decisive, sweeper], sort_keys=True)
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


def _decide(challenger: PipelineJob, versions: Versions) -> tuple[dict, Path | None]:
    """The decision on the model of a challenger, and its package if it has one."""
    # PyTorch comes with them, which who has decided already need not wait for.
    from fraud_ae.detector.detector import FraudDetector
    from fraud_ae.production.challenger import contest, judge

    champion = versions.in_production
    experiment = challenger.folder
    if "features" in challenger.stages:
        gate = read_checked(experiment / DECISION, parse_json)
        if not gate["tune"]:
            return _none(champion, _GATE, "; ".join(gate["failed"])), None
    package = experiment / "models" / "final_model"
    if versions.same_as(package) == champion:
        return _none(champion, _SAME, "the challenger is the very model in production"), None
    info = read_checked(experiment / MODEL_INFO, parse_yaml)
    run = experiment / "runs" / info["run_id"]
    test = read_checked(run / TEST_SCORES, pd.read_parquet)
    # Where the deployed fit has seen the test rows, the winner stands for it.
    winner = experiment / "runs" / info["figures"]["winner"]["run_id"] / "model"
    compared = contest(
        FraudDetector.load(versions.version(champion)),
        versions.info(champion),
        FraudDetector.load(package if "deployed_score" in test else winner),
        info,
        test,
        challenger.dataset,
        challenger.split,
    )
    decision = judge(compared, challenger.promotion)
    return {"champion": champion, "data": info["data"]["fingerprint"], **decision}, package


def _none(champion: str, verdict: str, reason: str) -> dict:
    return {"promoted": False, "champion": champion, "verdict": verdict, "reason": reason}


def _log_version(job: PipelineJob, versions: Versions, decision: dict) -> None:
    """The challenger as a version of the champion's artifact; `production` if it was promoted."""
    folder = versions.version(decision["version"])
    info = versions.info(decision["version"])
    data = info["data"]
    target = replace(job.sweep_target, job_type="retrain", tags=("retrain",)).with_run(
        drawable(info["configuration"], {}, data["fingerprint"], job.validation_set),
        DataReference(job.source.name, data["fingerprint"], job.source.path),
    )
    aliases = ("challenger", "production") if decision["promoted"] else ("challenger",)
    with track(target, versions.folder / "decisions") as tracker:
        artifact, described = f"{job.experiment}-detector", {**info, "decision": decision}
        tracker.log_model(folder, folder / MODEL_INFO, artifact, aliases, described)
