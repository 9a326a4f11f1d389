"""A process that is told to stop, as real processes that are sent the signals."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BOTH = [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "stopped by SIGTERM")]
BEGIN = "from fraud_ae.runtime.stopping import end_on_signals; end_on_signals('go on')\n"
# Past the buffer of what is printed.
READY = "import os; os.write(1, b'ready\\n')\n"


@pytest.fixture
def started():
    """Starts a process that runs a program, and waits until that says that it is ready."""
    processes = []

    def starting(program: str, **how) -> subprocess.Popen:
        # What is printed waits in a buffer, as it does by default.
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
        process = subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **how,
        )
        processes.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield starting
    for process in processes:
        process.kill()
        process.communicate()


def stopped(process: subprocess.Popen, number: int) -> tuple[int, str, str]:
    os.kill(process.pid, number)
    printed, errors = process.communicate(timeout=300)
    return process.returncode, printed, errors


@pytest.mark.promise("C13")
@pytest.mark.parametrize(("number", "code", "word"), BOTH)
@pytest.mark.parametrize(
    "busy",
    [
        "import time; time.sleep(600)",
        "\nwhile True: pass",
        "import threading; threading.Event().wait()",
    ],
)
def test_it_ends_with_the_code_of_the_signal_and_one_line(started, number, code, word, busy):
    process = started(f"{BEGIN}print('said before')\n{READY}{busy}")
    assert stopped(process, number) == (code, "said before\n", f"{word}: go on\n")


@pytest.mark.parametrize(("number", "code", "word"), BOTH)
def test_a_library_with_handlers_of_its_own_does_not_hold_it_up(started, number, code, word):
    program = f"""
import signal, time
{BEGIN}
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda *_: None)
{READY}
while True:
    try:
        time.sleep(600)
    except BaseException:
        pass
"""
    assert stopped(started(program), number) == (code, "", f"{word}: go on\n")


@pytest.mark.promise("C13")
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="the system does not list its processes")
def test_what_it_started_ends_with_it(started):
    program = f"""
import subprocess, sys, time
{BEGIN}{READY}
child = "import subprocess as s, sys; print(s.Popen(['sleep', '600']).pid, flush=True); input()"
subprocess.Popen([sys.executable, '-c', child], stdin=subprocess.PIPE).wait()
"""
    process = started(program)
    below = int(process.stdout.readline())
    stopped(process, signal.SIGTERM)
    deadline = time.monotonic() + 20
    while Path(f"/proc/{below}").is_dir():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_was_half_written_is_removed(started, tmp_path):
    program = f"""
import time
from pathlib import Path
from fraud_ae.runtime.atomic_files import whole_file
{BEGIN}
with whole_file(Path({str(tmp_path / "scores.csv")!r})) as draft:
    draft.write_text("half")
    {READY}
    time.sleep(600)
"""
    process = started(program)
    assert list(tmp_path.iterdir())
    assert stopped(process, signal.SIGTERM)[0] == 143
    assert not list(tmp_path.iterdir())


def test_what_a_shell_ignores_in_the_background_stays_ignored(started):
    process = started(
        f"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n{BEGIN}{READY}input()",
        stdin=subprocess.PIPE,
    )
    os.kill(process.pid, signal.SIGINT)
    assert process.communicate("on it goes\n", timeout=300) == ("", "")
    assert process.returncode == 0


@pytest.mark.slow
def test_it_ends_though_nobody_reads_what_it_prints(started):
    process = started(f"{BEGIN}{READY}print('much' * 10**6)")
    time.sleep(0.5)
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(timeout=300) == 143
    process.communicate()


def test_a_command_that_comes_to_its_end_meanwhile_was_stopped_all_the_same(started):
    held = "from fraud_ae.runtime.stopping import undone_when_stopped"
    program = f"""
import time
{held}
{BEGIN}
ended = []
with undone_when_stopped(lambda: (ended.append(1), time.sleep(2))):
    {READY.strip()}
    while not ended:
        time.sleep(0.01)
"""
    code, _, errors = stopped(started(program), signal.SIGTERM)
    assert (code, errors) == (143, "stopped by SIGTERM: go on\n")


def test_a_server_gets_the_signals_back(started):
    process = started(
        f"""
import signal
from fraud_ae.runtime.stopping import leave_signals
{BEGIN}leave_signals()
signal.signal(signal.SIGTERM, lambda *_: print("closed", flush=True))
{READY}input()""",
        stdin=subprocess.PIPE,
    )
    os.kill(process.pid, signal.SIGTERM)
    assert process.stdout.readline() == "closed\n"
    process.communicate("\n", timeout=300)
    assert process.returncode == 0
