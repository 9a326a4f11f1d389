"""What a stage does when its multirun starts and ends: show it, record it, rank it."""

import json
import math
import sys
from pathlib import Path

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from fraud_ae.configuration.command_line import candidate_folder
from fraud_ae.configuration.job import Job, experiment_folder
from fraud_ae.errors import UserError, exit_on_user_error
from fraud_ae.runtime.kept_files import write_kept
from fraud_ae.runtime.storage import writing
from fraud_ae.sweeps.candidates import write_candidates
from fraud_ae.sweeps.launcher import workers_of
from fraud_ae.sweeps.leaderboard import (
    leaderboard,
    leaderboard_path,
    ranked,
    read_results,
    winners,
    write_leaderboard,
)
from fraud_ae.sweeps.progress import SweepView
from fraud_ae.sweeps.studies.search_space import search_space
from fraud_ae.sweeps.studies.storages import studies_of
from fraud_ae.sweeps.studies.writer import StudyWriter
from fraud_ae.sweeps.sweeper import check_values
from fraud_ae.sweeps.winner import forget_winner

# What the best of a stage is called, complete and resolved.
BEST = {"features": "best_features.yaml", "final": "final_config.yaml"}


class StageCallback(Callback):
    """Hydra calls it around each multirun; single runs are left alone."""

    # Until the sweep is known to have values.
    view: SweepView | None = None

    @exit_on_user_error
    def on_multirun_start(self, config: DictConfig, **kwargs: object) -> None:
        """Open the view of the sweep, and its study; a sweep over nothing ends the command."""
        import optuna

        check_values(given_overrides(config).values())

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        swept = swept_parameters(config)
        folder = experiment_folder(config)
        studies = studies_of(folder, config.optuna.storage)
        self.view = SweepView(
            config.stage.name,
            number_of_jobs(config),
            Path(config.hydra.sweep.dir),
            config.objective,
            list(swept),
        )
        self.studies = StudyWriter(
            folder,
            studies,
            config.stage.name,
            config.objective,
            self.view.results,
            search_space(swept, given_overrides(config), candidate_folder(folder)),
        )
        self.view.start()
        self.studies.start()

    @exit_on_user_error
    def on_multirun_end(self, config: DictConfig, **kwargs: object) -> None:
        """Close view and study; of a sweep that ran to its end, keep the ranking and winners."""
        if self.view is None:
            return
        self.view.close()
        # After the view, which reads the results.
        self.studies.close()
        # Hydra calls this too while an error or an interrupt passes through.
        if sys.exc_info()[0] is not None:
            return
        folder = experiment_folder(config)
        try:
            with writing(folder):
                results = finish_stage(
                    folder, config.stage.name, config.stage.keep, Path(config.hydra.sweep.dir)
                )
        except OSError as error:
            # Hydra would make a warning of it, and the next stage would read an earlier sweep's.
            raise UserError(f"{folder}: the sweep cannot be ranked ({error})") from error
        if any(result["status"] == "finished" and not result["reused"] for result in results):
            _track(config, results)


def finish_stage(folder: Path, stage: str, keep: int, sweep_folder: Path) -> list[dict]:
    """Write the leaderboard of a sweep, its candidates, and the configuration of its best.

    folder: of the experiment. keep: how many candidates the next stage gets. Returns the results.
    """
    results = read_results(sweep_folder)
    forget_winner(folder)
    write_leaderboard(folder, stage, results)
    best = winners(results, keep)
    if keep:
        write_candidates(folder, stage, best)
    if best and stage in BEST:
        job = next(p for p in sweep_folder.glob("*/result.json") if _is(p, best[0]))
        write_kept(folder / BEST[stage], (job.parent / "config.yaml").read_text())
    _report(folder, stage, results, len(best))
    return results


def _track(config: DictConfig, results: list[dict]) -> None:
    """The ranking as a W&B run, told by a worker, which knows W&B already."""
    from fraud_ae.tracking.tracker import track_board

    board = leaderboard(results)
    # What tells the rows apart: strategies, candidates, or else nothing but their runs.
    names = (name for name in ("candidate", "features") if name in board)
    label = next((name for name in names if board[name].nunique() > 1), "run_id")
    job = Job.of(config, config.hydra.runtime.choices)
    folder = leaderboard_path(job.folder, job.stage.name).with_suffix("")
    workers = workers_of(config.hydra.launcher)
    workers.outcome(workers.submit(track_board, board, label, job.sweep_target, folder))


def given_overrides(config: DictConfig) -> dict[str, Override]:
    """What a multirun is told, by key: the parameters of its sweeper, and its command line."""
    parameters = [f"{k}={v}" for k, v in (config.hydra.sweeper.get("params") or {}).items()]
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    overrides = parser.parse_overrides(
        [*parameters, *OmegaConf.to_container(config.hydra.overrides.task)]
    )
    # The last counts.
    return {override.key_or_group: override for override in overrides}


def swept_parameters(config: DictConfig) -> dict[str, Override]:
    """What a multirun varies, by key."""
    return {k: o for k, o in given_overrides(config).items() if o.is_sweep_override()}


def number_of_jobs(config: DictConfig) -> int:
    """How many jobs the sweeper of a multirun is going to start."""
    swept = swept_parameters(config).values()
    counts = [len(list(o.sweep_iterator())) if o.is_discrete_sweep() else 0 for o in swept]
    trials = config.hydra.sweeper.get("n_trials")
    # An interval has no number of values: then only the number of trials says.
    combinations = math.prod(counts) if all(counts) else trials
    return combinations if trials is None else min(combinations, trials)


def _is(path: Path, winner: dict) -> bool:
    result = json.loads(path.read_text())
    return all(result[key] == winner[key] for key in ("run_id", "choices", "parameters"))


def _report(folder: Path, stage: str, results: list[dict], candidates: int) -> None:
    finished = [r for r in results if r["status"] == "finished"]
    trainings = len({r["run_id"] for r in finished if not r["reused"]})
    before = len({r["run_id"] for r in finished}) - trainings
    shared = len(finished) - trainings - before
    print(
        f"{stage}: {len(ranked(results))} combinations, {trainings} trained now, "
        f"{before} finished before" + (f", {shared} share a training" if shared else "")
    )
    for result in results:
        if result["status"] != "finished":
            print(f"  {result['choices']['features']} {result['status']}: {result['reason']}")
    if not finished:
        print("  no combination was trained to its end, so there is no candidate")
    elif not any(r["objective"] is not None for r in finished):
        print("  no combination has a figure to compare, so there is no candidate;")
        print("  a ROC AUC needs validation rows with and without fraud")
    elif candidates:
        print(
            f"  {candidates} candidate{'s' if candidates > 1 else ''} in {candidate_folder(folder)}"
        )
    print(f"  leaderboard: {leaderboard_path(folder, stage)}")
