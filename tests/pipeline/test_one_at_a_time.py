"""Two pipelines in one experiment, as processes that hold it."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys
from pathlib import Path
from fraud_ae.errors import exit_on_user_error
from fraud_ae.pipeline.one_at_a_time import one_at_a_time

@exit_on_user_error
def hold():
    with one_at_a_time(Path(sys.argv[1]), sys.argv[2]):
        print("held", flush=True)
        input()
hold()
"""


@pytest.fixture
def hold(tmp_path):
    started = []

    def holding(data: str) -> subprocess.Popen:
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", PROGRAM, str(tmp_path / "shop"), data],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
        return started[-1]

    yield holding
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.promise("C16")
def test_the_second_says_who_holds_it_and_waits(hold):
    first = hold("data")
    assert first.stdout.readline() == "held\n"
    second = hold("data")
    said = second.stdout.readline()
    assert re.search(rf"shop is held by process {first.pid} on \S+ since 20\d\d-\d\d-\d\d ", said)
    assert second.stdout.readline().startswith("waiting for it")
    first.communicate("\n", timeout=300)
    assert second.stdout.readline() == "held\n"
    assert second.communicate("\n", timeout=300) == ("", None)
    assert second.returncode == 0


def test_one_with_other_data_is_refused_at_once(hold):
    first = hold("data")
    assert first.stdout.readline() == "held\n"
    second = hold("other data")
    printed, _ = second.communicate(timeout=300)
    assert second.returncode == 2
    assert printed.startswith("error: ")
    assert f"held by process {first.pid}" in printed
    assert "experiment=NAME" in printed
    assert len(printed.splitlines()) == 1


def test_one_that_was_killed_holds_nothing(hold):
    first = hold("data")
    assert first.stdout.readline() == "held\n"
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert hold("other data").stdout.readline() == "held\n"
