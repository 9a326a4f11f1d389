"""SIGKILL at random moments, one after another, until a command is left to end."""

import random
import signal

import pytest

from tests.commands import run
from tests.disturbed.conftest import EXPERIMENT, PIPELINE, SWEEP
from tests.disturbed.end_states import differences, end_state, wrong_states
from tests.disturbed.killing import needs_linux, run_killed

pytestmark = [pytest.mark.slow, needs_linux]
KILLS = 15


@pytest.mark.promise("C17")
@pytest.mark.parametrize("command", [SWEEP, PIPELINE], ids=lambda command: command[0])
def test_however_often_it_is_killed_the_end_is_the_same(undisturbed, tmp_path, command):
    usual = undisturbed(*command)
    chance, killed, ended = random.Random(command[0]), 0, 0
    while killed < KILLS:
        # What has come to its end is done once more: the early moments are met again, too.
        cwd = tmp_path / str(ended)
        cwd.mkdir(exist_ok=True)
        seconds = chance.uniform(0.02, 0.6) * usual.seconds
        code, printed = run_killed(seconds, *command, cwd=cwd)
        if code == -signal.SIGKILL:
            killed += 1
        else:
            assert code == 0, printed
            ended += 1
    for folder in sorted(tmp_path.iterdir()):
        printed = run(*command, cwd=folder)
        assert "damaged" not in printed
        assert differences(end_state(folder / EXPERIMENT), usual.state) == []
        assert wrong_states(folder / EXPERIMENT) == []
