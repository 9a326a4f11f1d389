import logging
import os
import time

import pytest

from fraud_ae.errors import TrainingDiverged, UserError
from fraud_ae.runtime.workers import Workers


@pytest.fixture(params=[1, 2])
def workers(request):
    own = Workers(request.param)
    yield own
    own.kill()


def warn(number: int) -> int:
    logging.getLogger("fraud_ae").warning("seen before")
    return number


def fail(error: Exception) -> None:
    raise error


def end() -> None:
    os._exit(3)


def test_results_come_back(workers):
    futures = [workers.submit(pow, number, 2) for number in range(5)]
    assert [workers.outcome(future) for future in futures] == [0, 1, 4, 9, 16]


def test_several_are_other_processes_and_one_is_this():
    assert Workers(1).outcome(Workers(1).submit(os.getpid)) == os.getpid()
    workers = Workers(2)
    assert workers.outcome(workers.submit(os.getpid)) != os.getpid()
    workers.kill()


def test_an_exception_comes_back(workers):
    with pytest.raises(TrainingDiverged, match="epoch 3"):
        workers.outcome(workers.submit(fail, TrainingDiverged("epoch 3")))
    # The others go on.
    assert workers.outcome(workers.submit(abs, -1)) == 1


def test_what_workers_warn_of_is_told_here_once(caplog):
    workers = Workers(2)
    futures = [workers.submit(warn, number) for number in range(4)]
    assert [workers.outcome(future) for future in futures] == [0, 1, 2, 3]
    assert [record.getMessage() for record in caplog.records] == ["seen before"]
    workers.kill()


def test_a_process_that_ends_is_an_error_that_says_what_to_do():
    workers = Workers(2)
    with pytest.raises(UserError, match=r"ended early.*goes on where this one stopped"):
        workers.outcome(workers.submit(end))
    # They are started anew.
    assert workers.outcome(workers.submit(abs, -1)) == 1
    workers.kill()


def test_killed_workers_leave_what_they_were_at():
    workers = Workers(2)
    workers.submit(time.sleep, 600)
    assert workers.outcome(workers.submit(abs, -1)) == 1
    started = time.monotonic()
    workers.kill()
    assert time.monotonic() - started < 5
