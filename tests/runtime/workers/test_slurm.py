"""Jobs of submitit: its local executor stands for SLURM, with a real process for each job."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fraud_ae.errors import TrainingDiverged, UserError, WorkerLost
from fraud_ae.runtime.workers.slurm import SlurmJobs, SlurmWorkers
from tests.commands import ROOT
from tests.runtime.workers.functions import fail, kill_itself, threads, warn

pytestmark = [pytest.mark.scale, pytest.mark.slow]
pytest.importorskip("submitit")
LOCAL = SlurmJobs("local", jobs=2, cpus=1, gpus=0, memory=None, minutes=5, partition=None)


@pytest.fixture(scope="module")
def workers(tmp_path_factory):
    workers = SlurmWorkers(LOCAL)
    workers.start(tmp_path_factory.mktemp("experiment"))
    yield workers
    workers.kill()


def test_results_errors_and_messages_come_back(workers, caplog):
    futures = [workers.submit(warn, number) for number in range(3)]
    failing = workers.submit(fail, TrainingDiverged("epoch 3"))
    lost = workers.submit(kill_itself)
    counted = workers.submit(threads)
    assert [workers.outcome(future) for future in futures] == [0, 1, 2]
    assert [record.getMessage() for record in caplog.records] == ["seen before"]
    assert workers.outcome(counted) == 1
    with pytest.raises(TrainingDiverged, match="epoch 3"):
        workers.outcome(failing)
    with pytest.raises(WorkerLost, match="ended early"):
        workers.outcome(lost)


def test_jobs_of_a_command_that_is_killed_end_by_themselves(tmp_path):
    code = (
        "import sys, time; from pathlib import Path\n"
        "from fraud_ae.runtime.workers.slurm import *\n"
        "from tests.runtime.workers.functions import write_number_and_sleep\n"
        f"workers = SlurmWorkers(SlurmJobs(**{vars(LOCAL)}), lease_seconds=2)\n"
        "workers.start(Path(sys.argv[1]))\n"
        "workers.ended([workers.submit(write_number_and_sleep, Path(sys.argv[1]) / 'pid')])\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], env=environment)
    job = _number(tmp_path / "pid")
    command.kill()
    command.wait()
    for _ in range(100):
        if not Path(f"/proc/{job}").exists():
            return
        time.sleep(0.2)
    os.kill(job, signal.SIGKILL)
    pytest.fail("the job goes on")


def test_a_cluster_that_is_not_there_is_refused_in_one_line(tmp_path):
    jobs = SlurmJobs("slurm", 1, 1, 0, None, 5, None)
    with pytest.raises(UserError, match=r"^hydra.launcher.cluster=slurm: .*srun"):
        SlurmWorkers(jobs).start(tmp_path)


def _number(file: Path) -> int:
    for _ in range(300):
        if file.exists():
            return int(file.read_text())
        time.sleep(0.2)
    raise TimeoutError(file)
