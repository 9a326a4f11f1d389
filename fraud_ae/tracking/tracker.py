"""Weights & Biases: one run for each training, offline by default."""

import functools
import logging
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pandas as pd

from fraud_ae.models.history import curve_point
from fraud_ae.runtime.atomic_files import write_json
from fraud_ae.tracking.panels import board_panels, panels
from fraud_ae.tracking.server import within
from fraud_ae.tracking.target import DataReference, TrackingTarget

# Where W&B keeps what waits to be sent, in the user's home unless this says something else.
_DATA_DIR = "WANDB_DATA_DIR"
# In the folder of a run: where it can be seen, if it can.
_LINK = "wandb.json"


@functools.cache
def _warn_of_ignored_id() -> None:
    if "WANDB_RUN_ID" in os.environ:
        logging.getLogger("fraud_ae").warning(
            "WANDB_RUN_ID is ignored: every training is a W&B run with an id of its own"
        )


class Tracker:
    """One W&B run, or nothing at all where `wandb.mode=disabled`.

    Where the server fails, all that was logged is logged again to an offline run.
    """

    def __init__(self, target: TrackingTarget, folder: Path) -> None:
        self._target = target
        self._folder = folder
        self._sent: list[Callable] = []
        self._run = None
        self._online = False
        self._lends_folder = False
        if target.mode != "disabled":
            folder.mkdir(parents=True, exist_ok=True)
            if _DATA_DIR not in os.environ:
                self._lends_folder = True
                os.environ[_DATA_DIR] = str(folder.resolve() / "wandb")
            self._open()

    def lightning_logger(self):
        """The logger that Lightning writes the training curves to, or None."""
        if self._run is None:
            return None
        from pytorch_lightning.loggers import WandbLogger

        send = self._send

        class CurveLogger(WandbLogger):
            """Lightning's own logger, through which no failing server gets at the training."""

            def log_metrics(self, metrics: dict, step: int | None = None) -> None:
                send(lambda run: run.log({**metrics, "trainer/global_step": step}))

        return CurveLogger(experiment=self._run)

    def log_epoch(self, row: dict, steps_per_epoch: int) -> None:
        """A row of the history of a training that had no logger, as Lightning would log it."""
        figures, step = curve_point(row, steps_per_epoch)
        self._send(lambda run: run.log({**figures, "trainer/global_step": step}))

    def log_evaluation(
        self, scored: pd.DataFrame, threshold: float, metrics: dict, top: Sequence[dict]
    ) -> None:
        """Flat summary figures; curves, histograms and the highest scores of a scored frame.

        metrics: name -> figure. top: see `fraud_ae.detector.reasons.top_transactions`.
        """
        defined = {name: value for name, value in metrics.items() if value is not None}

        def send(run) -> None:
            run.log(panels(scored, threshold, top))
            run.summary.update(defined)

        self._send(send)

    def log_board(self, board: pd.DataFrame, label: str) -> None:
        """A leaderboard as a table, and as bars: its final_auc, named by the column `label`."""
        self._send(lambda run: run.log(board_panels(board, label)))

    def use_data(self, data: DataReference) -> None:
        """The transactions as an input of the run: a reference, of which nothing is uploaded."""

        def send(run) -> None:
            import wandb

            artifact = wandb.Artifact(
                f"{_artifact_name(data.name)}-transactions",
                type="dataset",
                metadata={"fingerprint": data.fingerprint, "path": data.path},
            )
            file = Path(data.path).resolve() if data.path else None
            where = file.as_uri() if file else f"generated://{data.name}/{data.fingerprint}"
            # W&B's own checksum would read the whole file: the fingerprint makes the version.
            entry = f"{data.fingerprint}/{file.name if file else data.name}"
            artifact.add_reference(where, name=entry, checksum=False)
            # `use_artifact` refuses an offline run; what it does online is this.
            run._log_artifact(artifact, is_user_created=True, use_after_commit=True)

        self._send(send)

    def log_model(
        self, folder: Path, info: Path, name: str, aliases: Sequence[str], metadata: dict
    ) -> None:
        """The files of a detector, and what is said of it, as a version of an artifact."""

        def send(run) -> None:
            import wandb

            artifact = wandb.Artifact(_artifact_name(name), type="model", metadata=metadata)
            for file in [*sorted(folder.iterdir()), info]:
                artifact.add_file(str(file))
            run.log_artifact(artifact, aliases=list(aliases))

        self._send(send)

    def close(self, exit_code: int) -> None:
        """Finish the run. exit_code: 0 where all went well."""
        if self._online:
            try:
                with self._target.server.waiting():
                    self._run.finish(exit_code=exit_code)
            except Exception as error:  # see `_send`
                self._go_offline(error)
        if self._run is not None and not self._online:
            self._run.finish(exit_code=exit_code)
        if self._lends_folder:
            del os.environ[_DATA_DIR]

    def _send(self, call: Callable) -> None:
        if self._run is None:
            return
        if not self._online:
            call(self._run)
            return
        self._sent.append(call)
        server = self._target.server
        try:
            # Logging an artifact waits for the server.
            with server.waiting() as seconds:
                within(max(seconds, 0.1), lambda: call(self._run))
        except Exception as error:  # a client that lost its server may fail in any way
            self._go_offline(error)

    def _open(self) -> None:
        server = self._target.server
        if self._target.mode == "online" and server.answers():
            try:
                with server.waiting() as seconds:
                    most = max(seconds, 0.1)
                    self._run = self._init("online", init_timeout=most, finish_timeout=most)
                self._online = True
                # From the folder of the run to where it can be seen.
                write_json(self._folder / _LINK, {"url": self._run.url})
                return
            except Exception as error:  # see `_send`
                server.give_up(str(error) or type(error).__name__)
        self._run = self._init("offline")

    def _go_offline(self, error: Exception) -> None:
        self._target.server.give_up(str(error) or type(error).__name__)
        self._online = False
        (self._folder / _LINK).unlink(missing_ok=True)
        try:
            self._run = self._init("offline")
        except Exception:  # see `_send`
            import wandb

            # Its service did not survive what the server answered: another takes its place.
            with suppress(Exception, SystemExit):
                wandb.teardown()
            self._run = self._init("offline")
        for call in self._sent:
            call(self._run)

    def _init(self, mode: str, **bounds: float):
        import wandb

        target = self._target
        # Some of its warnings are of the process and not of the run.
        wandb.setup(wandb.Settings(silent=True))
        _warn_of_ignored_id()
        run = wandb.init(
            # Its own, whatever WANDB_RUN_ID says: two trainings of one id would be one run.
            id=uuid4().hex[:8],
            mode=mode,
            project=target.project,
            entity=target.entity,
            # The name leads from W&B to the folder of the run.
            name=self._folder.name,
            group=target.group,
            job_type=target.job_type,
            tags=list(target.tags),
            config=target.configuration,
            # The W&B service that writes there may have been started in another folder.
            dir=str(self._folder.resolve()),
            reinit="create_new",
            settings=wandb.Settings(
                console="off",
                silent=True,
                x_disable_stats=True,
                # The lock file says it; to list all packages takes longer than all the rest.
                x_save_requirements=False,
                disable_git=True,
                save_code=False,
                # The command of this process is not that of the run.
                x_disable_meta=True,
                finish_timeout_raises=True,
                **bounds,
            ),
        )
        # With a ready-made run Lightning leaves the axes undefined.
        run.define_metric("trainer/global_step")
        run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
        run.define_metric("epoch")
        for name in ("train_loss", "val_loss", "learning_rate"):
            run.define_metric(name, step_metric="epoch")
        return run


@contextmanager
def track(target: TrackingTarget, folder: Path) -> Iterator[Tracker]:
    """Open a W&B run, with its data as an input, and close it.

    folder: where W&B keeps an offline run.
    """
    tracker = Tracker(target, folder)
    exit_code = 1
    try:
        if target.data is not None:
            tracker.use_data(target.data)
        yield tracker
        exit_code = 0
    finally:
        tracker.close(exit_code)


def track_board(board: pd.DataFrame, label: str, target: TrackingTarget, folder: Path) -> None:
    """Log the leaderboard of a sweep as a W&B run of its own: a table, and bars of its final_auc.

    board: see `leaderboard`. label: the column that names the bars, such as `features`. folder:
    where W&B keeps the run, which is called after it.
    """
    with track(replace(target, tags=(*target.tags, "leaderboard")), folder) as tracker:
        tracker.log_board(board, label)


def _artifact_name(text: str) -> str:
    return re.sub(r"[^\w.-]+", "-", text)
