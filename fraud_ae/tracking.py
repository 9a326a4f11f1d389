"""Weights & Biases: one run for each training, offline by default."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fraud_ae.models.history import curve_point

log = logging.getLogger("fraud_ae")


@dataclass(frozen=True)
class TrackedRun:
    """Where a training is logged to. group: experiment; job_type: stage."""

    mode: str
    project: str
    entity: str | None
    group: str
    job_type: str
    tags: tuple[str, ...]
    init_timeout_seconds: float = 20.0


class Tracker:
    """One W&B run, or nothing at all where `wandb.mode=disabled`."""

    def __init__(self, run=None) -> None:
        self.run = run

    def lightning_logger(self):
        """The logger that Lightning writes the training curves to, or None."""
        if self.run is None:
            return None
        from pytorch_lightning.loggers import WandbLogger

        return WandbLogger(experiment=self.run)

    def log_epoch(self, row: dict, steps_per_epoch: int) -> None:
        """A row of the history of a training that had no logger, as Lightning would log it."""
        if self.run is not None:
            figures, step = curve_point(row, steps_per_epoch)
            self.run.log({**figures, "trainer/global_step": step})

    def log_evaluation(self, y_true: np.ndarray, flagged: np.ndarray, metrics: dict) -> None:
        """Flat summary figures, and the confusion matrix of the alerts.

        y_true: (n,) 0 or 1. flagged: (n,) bool. metrics: name -> figure.
        """
        if self.run is None:
            return
        import wandb

        self.run.log(
            {
                "confusion_matrix": wandb.plot.confusion_matrix(
                    y_true=y_true.astype(int).tolist(),
                    preds=flagged.astype(int).tolist(),
                    class_names=["normal", "fraud"],
                )
            }
        )
        self.run.summary.update({k: v for k, v in metrics.items() if v is not None})

    def log_model(self, folder: Path, info: Path, name: str) -> None:
        """The files of a detector as an artifact of type model."""
        if self.run is None:
            return
        import wandb

        artifact = wandb.Artifact(name, type="model")
        for file in [*sorted(folder.iterdir()), info]:
            artifact.add_file(str(file))
        self.run.log_artifact(artifact)


@contextmanager
def track(target: TrackedRun, folder: Path, config: dict) -> Iterator[Tracker]:
    """Open a W&B run for one training, and close it.

    folder: where W&B keeps an offline run. config: the resolved configuration.
    Where the server cannot be reached the run goes on offline, with one warning.
    """
    if target.mode == "disabled":
        yield Tracker()
        return
    folder.mkdir(parents=True, exist_ok=True)
    run = _init(target, folder, config)
    # With a ready-made run Lightning leaves the axes undefined.
    run.define_metric("trainer/global_step")
    run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
    exit_code = 1
    try:
        yield Tracker(run)
        exit_code = 0
    finally:
        run.finish(exit_code=exit_code)


_unreachable = False


def _init(target: TrackedRun, folder: Path, config: dict):
    import wandb

    global _unreachable

    def init(mode: str):
        return wandb.init(
            mode=mode,
            project=target.project,
            entity=target.entity,
            # The name leads from W&B to the folder of the run.
            name=folder.name,
            group=target.group,
            job_type=target.job_type,
            tags=list(target.tags),
            config=config,
            # The W&B service that writes there may have been started in another folder.
            dir=str(folder.resolve()),
            reinit="create_new",
            settings=wandb.Settings(
                console="off",
                silent=True,
                x_disable_stats=True,
                # The lock file says it; to list all packages takes longer than all the rest.
                x_save_requirements=False,
                disable_git=True,
                save_code=False,
                init_timeout=target.init_timeout_seconds,
            ),
        )

    if target.mode == "online" and not _unreachable:
        try:
            # Only whether there is a key: to verify it would wait for the server without a bound.
            wandb.setup(wandb.Settings(silent=True))
            if not wandb.login(prompt=False, verify=False):
                raise wandb.errors.UsageError("no API key: run `wandb login`")
            return init("online")
        except (wandb.errors.Error, OSError, ValueError) as error:
            _unreachable = True
            log.warning(
                "W&B cannot be reached (%s); this and all further runs are kept offline. "
                "Later: wandb sync outputs/*/runs/*/wandb/offline-run-*",
                str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__,
            )
    return init("offline")
