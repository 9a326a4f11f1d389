"""Commands while the clock of the machine jumps back and forth: nothing is decided by it."""

import json
import random
import shutil
import threading

import pytest

from fraud_ae.detector.versions import Versions
from tests.clocks import Clock, needs_a_compiler
from tests.commands import fraud_ae, run, run_cold
from tests.disturbed.conftest import EXPERIMENT, PIPELINE
from tests.disturbed.end_states import differences, end_state, wrong_states
from tests.disturbed.killing import needs_linux

pytestmark = [pytest.mark.slow, needs_linux, needs_a_compiler]
YEAR = 365.0


@pytest.fixture(scope="module")
def clock(tmp_path_factory) -> Clock:
    return Clock(tmp_path_factory.mktemp("clock"))


def durations(content: object) -> list[float]:
    """All numbers of seconds in plain data."""
    if isinstance(content, list):
        return [each for value in content for each in durations(value)]
    if not isinstance(content, dict):
        return []
    own = [value for key, value in content.items() if "seconds" in key]
    return own + [each for value in content.values() for each in durations(value)]


@pytest.mark.promise("C18")
def test_the_result_is_that_of_a_clock_that_goes_right(clock, tmp_path):
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.mkdir()
    wrong.mkdir()
    # Both on all cores: in other stacks the last digits of Adam's averages are others.
    run_cold(*PIPELINE, cwd=right)
    expected = end_state(right / EXPERIMENT)
    ended, chance = threading.Event(), random.Random(0)

    def jump() -> None:
        while not ended.wait(0.2):
            clock.set(chance.uniform(-30 * YEAR, 30 * YEAR))

    jumping = threading.Thread(target=jump)
    jumping.start()
    try:
        printed = run(*PIPELINE, cwd=wrong, **clock.environment)
        again = run(*PIPELINE, cwd=wrong, **clock.environment)
    finally:
        ended.set()
        jumping.join()
    assert "runs trained now" in printed
    assert "nothing trained" in again
    assert differences(end_state(wrong / EXPERIMENT), expected) == []
    assert wrong_states(wrong / EXPERIMENT) == []
    for path in (wrong / EXPERIMENT).glob("runs/*/metrics.json"):
        assert min(durations(json.loads(path.read_text()))) >= 0, path


def test_the_order_of_versions_is_that_in_which_they_were_made(clock, undisturbed, tmp_path):
    shutil.copytree(undisturbed(*PIPELINE).cwd, tmp_path, symlinks=True, dirs_exist_ok=True)
    versions = Versions(tmp_path / EXPERIMENT / "models")
    for number, years in enumerate((-30, 30, -10), start=2):
        clock.set(years * YEAR)
        change = ("threshold", "--value", f"0.{number}", "--save")
        fraud_ae(*change, cwd=tmp_path, **clock.environment)
        assert versions.in_production == f"000{number}"
    for left, years in (("0003", 20), ("0002", -20), ("0001", 5)):
        clock.set(years * YEAR)
        printed = fraud_ae("rollback", cwd=tmp_path, **clock.environment)
        assert f"version {left} is in production" in printed
    assert versions.stack() == ["0001"]
