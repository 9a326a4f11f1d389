"""Commands that can be killed, and what they make where nobody kills them."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.commands import run
from tests.disturbed.end_states import end_state

SMALL = (
    "experiment=small",
    "data.n_transactions=1000",
    "scorer=reconstruction",
    "model.hidden_sizes=[16]",
    "model.latent_dim=4",
    "trainer.max_epochs=2",
    "wandb.mode=disabled",
)
SWEEP = ("train.py", "-m", "stage=features", "features=baseline,combined", *SMALL)
PIPELINE = (
    "pipeline.py",
    "gate.force=true",
    "stages=[features,final,production]",
    "features=baseline",
    'overrides.final=["candidate=features_01","seed=1,2"]',
    *SMALL,
)
EXPERIMENT = Path("outputs") / "small"


@dataclass(frozen=True)
class Undisturbed:
    """A command that ran to its end. cwd: where. state: that it left. seconds: that it took."""

    cwd: Path
    state: dict
    seconds: float


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory) -> Callable[..., Undisturbed]:
    """Runs a command to its end, once; tests only read what it made."""
    made: dict[tuple[str, ...], Undisturbed] = {}

    def of(*command: str, after: Path | None = None) -> Undisturbed:
        if command not in made:
            cwd = tmp_path_factory.mktemp("undisturbed") / "work"
            if after is None:
                cwd.mkdir()
            else:
                shutil.copytree(after, cwd, symlinks=True)
            # The first of all commands waits until what they are forks of has imported everything.
            run("-m", "fraud_ae", "--help", cwd=cwd)
            began = time.monotonic()
            run(*command, cwd=cwd)
            seconds = time.monotonic() - began
            made[command] = Undisturbed(cwd, end_state(cwd / EXPERIMENT), seconds)
        return made[command]

    return of
