import logging
import os
import signal
import time
from pathlib import Path

import pytest

from fraud_ae.errors import TrainingDiverged, WorkerLost
from fraud_ae.runtime.workers.local import LocalWorkers


@pytest.fixture(params=[1, 2])
def workers(request):
    own = LocalWorkers(request.param)
    yield own
    own.kill()


def warn(number: int) -> int:
    logging.getLogger("fraud_ae").warning("seen before")
    return number


def fail(error: Exception) -> None:
    raise error


def end() -> None:
    os._exit(3)


def end_once(mark: Path) -> str:
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


@pytest.mark.slow
def test_results_come_back(workers):
    futures = [workers.submit(pow, number, 2) for number in range(5)]
    assert [workers.outcome(future) for future in futures] == [0, 1, 4, 9, 16]


@pytest.mark.slow
def test_several_are_other_processes_and_one_is_this():
    assert LocalWorkers(1).outcome(LocalWorkers(1).submit(os.getpid)) == os.getpid()
    workers = LocalWorkers(2)
    assert workers.outcome(workers.submit(os.getpid)) != os.getpid()
    workers.kill()


def test_an_exception_comes_back(workers):
    with pytest.raises(TrainingDiverged, match="epoch 3"):
        workers.outcome(workers.submit(fail, TrainingDiverged("epoch 3")))
    # The others go on.
    assert workers.outcome(workers.submit(abs, -1)) == 1


def test_what_workers_warn_of_is_told_here_once(caplog):
    workers = LocalWorkers(2)
    futures = [workers.submit(warn, number) for number in range(4)]
    assert [workers.outcome(future) for future in futures] == [0, 1, 2, 3]
    assert [record.getMessage() for record in caplog.records] == ["seen before"]
    workers.kill()


@pytest.mark.promise("C15")
def test_a_process_that_ends_takes_with_it_what_it_was_at_and_nothing_else():
    workers = LocalWorkers(2)
    others = [workers.submit(pow, number, 2) for number in range(3)]
    lost = workers.submit(end)
    others += [workers.submit(pow, number, 2) for number in range(3, 6)]
    with pytest.raises(WorkerLost, match="ended early"):
        workers.outcome(lost)
    assert [workers.outcome(future) for future in others] == [0, 1, 4, 9, 16, 25]
    workers.kill()


def test_one_that_is_killed_while_it_waits_is_replaced():
    workers = LocalWorkers(2)
    os.kill(workers.outcome(workers.submit(os.getpid)), signal.SIGKILL)
    time.sleep(0.5)
    assert [workers.outcome(workers.submit(abs, -n)) for n in range(3)] == [0, 1, 2]
    workers.kill()


def test_what_a_lost_process_was_at_is_tried_once_more(tmp_path, caplog):
    workers = LocalWorkers(2)
    assert workers.outcome_at_last(workers.submit(end_once, tmp_path / "been here")) == "done"
    assert "tried once more" in caplog.text
    with pytest.raises(WorkerLost, match=r"ended early.*twice.*goes on where this one stopped"):
        workers.outcome_at_last(workers.submit(end))
    workers.kill()


def test_killed_workers_leave_what_they_were_at():
    workers = LocalWorkers(2)
    workers.submit(time.sleep, 600)
    assert workers.outcome(workers.submit(abs, -1)) == 1
    started = time.monotonic()
    workers.kill()
    assert time.monotonic() - started < 5
