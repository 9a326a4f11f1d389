"""The stages of a pipeline, each the same command that a user would type."""

import difflib
import re
from collections.abc import Callable
from pathlib import Path

import yaml
from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

from fraud_ae.configuration.job import Job
from fraud_ae.configuration.pipeline_job import PipelineJob
from fraud_ae.errors import StrategyRefused, UserError
from fraud_ae.pipeline.background_audit import BackgroundAudit
from fraud_ae.pipeline.data_facts import write_data_facts
from fraud_ae.pipeline.gate import decide, explain
from fraud_ae.pipeline.one_at_a_time import one_at_a_time
from fraud_ae.pipeline.remote_results import read_remote_results
from fraud_ae.sweeps.callback import BEST
from fraud_ae.sweeps.job import check_classes, trained
from fraud_ae.sweeps.launcher import begin_workers, workers_of

STAGES = ("features", "broad", "refined", "final", "production")
# Keys of `conf/pipeline.yaml` that `train.py` does not know, and the one that a stage sets.
_NOT_PASSED_ON = ("promotion", "stages", "gate", "overrides", "summary", "stage")


def run_stages(
    job: PipelineJob, arguments: list[str], run_stage: Callable[[list[str]], None]
) -> None:
    """Run the stages of a pipeline; the gate stands behind the feature sweep.

    arguments: of its command line, overrides and flags; those that are not the pipeline's alone go
    on to every stage. run_stage: runs `train.py` with arguments.
    Raises UserError for an unknown stage, where a stage cannot be run, or where another pipeline
    works on the experiment with other data; and LeakRefused, before anything is published, where
    the strategy that won leaks.
    """
    _check_stages(job)
    begin_workers(job.folder, HydraConfig.get().launcher)
    with one_at_a_time(job.folder, job.dataset.fingerprint):
        _run(job, arguments, run_stage)


def _run(job: PipelineJob, arguments: list[str], run_stage: Callable[[list[str]], None]) -> None:
    write_data_facts(job, arguments)
    if "features" in job.stages:
        check_classes(job)
    audit = None
    passed_on = [a for a in arguments if re.split(r"[.=]", a.lstrip("+~"))[0] not in _NOT_PASSED_ON]
    for stage in (s for s in STAGES if s in job.stages):
        sweep = [] if stage == "production" else ["-m"]
        if stage == "production" and audit is not None:
            audit.finish()
        compared = _strategies_to_compare(arguments) if stage == "features" else []
        further = job.overrides.get(stage, [])
        run_stage([*sweep, f"stage={stage}", *compared, *passed_on, *further])
        if stage == "features":
            remote = read_remote_results(job, {"jobType": "features"})
            decision = decide(job.folder, job.gate, remote.runs if remote else (), job.objective)
            print(explain(decision, arguments))
            audit = _background_audit(decision["best_strategy"], job.folder)
            if not decision["tune"]:
                break
    if audit is not None:
        audit.finish()
    print(
        f"\n{len(trained)} {'run' if len(trained) == 1 else 'runs'} trained now"
        if trained
        else "\nnothing trained: all finished before"
    )


def _background_audit(strategy: str, folder: Path) -> BackgroundAudit:
    settings = yaml.safe_load((folder / BEST["features"]).read_text())
    workers = workers_of(HydraConfig.get().launcher)
    # Where all had been trained, no sweep has begun them.
    workers.start(folder)
    return BackgroundAudit(strategy, Job.of_settings(settings, {"features": strategy}), workers)


def _check_stages(job: PipelineJob) -> None:
    if not job.stages:
        raise UserError(f"stages=[]: no stage is to be run; known are {', '.join(STAGES)}")
    for key in ("stages", "overrides"):
        for stage in getattr(job, key):
            if stage not in STAGES:
                near = difflib.get_close_matches(stage, STAGES, n=1)
                meant = f" (did you mean {near[0]}?)" if near else ""
                names = ", ".join(STAGES)
                raise UserError(f"{key}: unknown stage {stage}{meant}; known are {names}")


def _strategies_to_compare(arguments: list[str]) -> list[str]:
    """The sweep over all strategies that the data have columns for; none if one was chosen."""
    if any(argument.startswith("features=") for argument in arguments):
        return []
    overrides = [argument for argument in arguments if not argument.startswith("-")]
    return [f"features={','.join(usable_strategies(overrides))}"]


def usable_strategies(overrides: list[str]) -> dict[str, PipelineJob]:
    """The strategies that the data have columns for: name -> its job.

    overrides: of the command line of the pipeline. Of the others a line tells.
    """
    usable = {}
    for name in GlobalHydra.instance().config_loader().get_group_options("features"):
        cfg = compose(config_name="pipeline", overrides=[*overrides, f"features={name}"])
        job = PipelineJob.of(cfg, {"features": name})
        try:
            job.strategy  # noqa: B018 (built, and refused where columns are missing)
            usable[name] = job
        except StrategyRefused as error:
            print(f"left out of the feature sweep: {name}\n  {error}")
    return usable
