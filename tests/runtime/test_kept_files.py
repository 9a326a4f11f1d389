"""Kept files: damage is told by name, never made use of, and set aside where a whole file comes."""

import json
import os
import random
import signal
import subprocess
import sys
import textwrap

import pytest

from fraud_ae.runtime import kept_files
from fraud_ae.runtime.checksums import CHECKSUMS, damage, empty, seal
from fraud_ae.runtime.kept_files import (
    DamagedFile,
    parse_json,
    parse_yaml,
    read_checked,
    read_kept,
    write_kept,
    write_kept_json,
)
from tests.commands import ROOT
from tests.damage import MUTATIONS, mutated

FACTS = {"name": "shop", "rows": 12_345, "ratio": 0.0123, "parts": ["train", "validation", "test"]}


@pytest.fixture(autouse=True)
def told(caplog):
    kept_files.warn_once.cache_clear()
    return caplog


def test_what_is_written_is_read_back_and_nothing_is_told(tmp_path, told):
    path = tmp_path / "deeper" / "facts.json"
    assert read_kept(path, parse_json) is None
    write_kept_json(path, FACTS)
    write_kept_json(path, {**FACTS, "rows": 5})
    assert read_kept(path, parse_json) == {**FACTS, "rows": 5}
    write_kept(path.with_name("facts.yaml"), "rows: 5\n")
    assert read_kept(path.with_name("facts.yaml"), parse_yaml) == {"rows": 5}
    assert not told.records


def test_a_file_that_was_written_before_there_were_checksums_is_read(tmp_path, told):
    path = tmp_path / "facts.json"
    path.write_text(json.dumps(FACTS))
    assert read_kept(path, parse_json) == FACTS
    write_kept_json(tmp_path / "others.json", {})
    assert read_kept(path, parse_json) == FACTS
    path.write_text(json.dumps(FACTS)[:20])
    assert read_kept(path, parse_json) is None
    (line,) = told.messages
    assert line.startswith(f"{path}: damaged (")


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_damage_is_told_once_and_the_file_is_passed_over_and_then_set_aside(
    tmp_path, told, mutation
):
    path = tmp_path / "facts.json"
    write_kept_json(path, FACTS)
    damaged = mutated(path, mutation, random.Random(0))
    assert read_kept(path, parse_json) is None
    assert read_kept(path, parse_json) is None
    (line,) = told.messages
    assert line.startswith(f"{path}: damaged (")
    assert "\n" not in line
    with pytest.raises(DamagedFile, match="facts.json: damaged"):
        read_checked(path, parse_json)
    # A reader changes nothing; who writes it again keeps what was there.
    assert path.read_bytes() == damaged
    write_kept_json(path, FACTS)
    assert read_kept(path, parse_json) == FACTS
    assert (tmp_path / "facts.json.damaged").read_bytes() == damaged


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_damaged_list_is_told_and_loses_nothing(tmp_path, told, mutation):
    write_kept_json(tmp_path / "facts.json", FACTS)
    write_kept_json(tmp_path / "others.json", {"a": 1})
    mutated(tmp_path / CHECKSUMS, mutation, random.Random(1))
    assert read_kept(tmp_path / "facts.json", parse_json) == FACTS
    assert read_kept(tmp_path / "others.json", parse_json) == {"a": 1}
    (line,) = told.messages
    assert line.startswith(f"{tmp_path / CHECKSUMS}: damaged (")
    told.clear()
    write_kept_json(tmp_path / "facts.json", {**FACTS, "rows": 5})
    assert read_kept(tmp_path / "facts.json", parse_json) == {**FACTS, "rows": 5}
    assert read_kept(tmp_path / "others.json", parse_json) == {"a": 1}
    assert not told.records


def test_two_hundred_changes_to_a_sealed_folder_are_all_found(tmp_path):
    files = {"a.bin": random.Random(0).randbytes(300_000), "in/b.json": b'{"rows": 12345}\n'}
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    seal(tmp_path, {name: tmp_path / name for name in files})
    assert damage(tmp_path) == {}
    rng = random.Random(2)
    for name in (*files, CHECKSUMS):
        whole = (tmp_path / name).read_bytes()
        for _ in range(200):
            mutated(tmp_path / name, rng.choice(MUTATIONS), rng)
            assert list(damage(tmp_path)) == [name]
        (tmp_path / name).write_bytes(whole)
    (tmp_path / "a.bin").unlink()
    assert damage(tmp_path) == {"a.bin": "missing"}


def test_emptying_a_folder_sets_aside_what_is_damaged(tmp_path):
    for name in ("a", "b", "done"):
        (tmp_path / name).write_text(name)
    seal(tmp_path, {name: tmp_path / name for name in ("a", "b", "done")})
    (tmp_path / "b").write_text("?")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "c").write_text("c")
    empty(tmp_path, tmp_path / "done")
    assert [path.name for path in tmp_path.iterdir()] == ["b.damaged"]
    assert (tmp_path / "b.damaged").read_text() == "?"


def test_a_folder_that_cannot_be_written_is_read_all_the_same(tmp_path, told):
    path = tmp_path / "facts.json"
    write_kept_json(path, FACTS)
    mutated(path, "digit", random.Random(0))
    for lock in tmp_path.glob(".*.lock"):
        lock.unlink()
    # A folder of that name stands for what root may not write either.
    (tmp_path / f".{CHECKSUMS}.lock").mkdir()
    assert read_kept(path, parse_json) is None
    assert len(told.messages) == 1


def test_a_writer_that_is_killed_leaves_a_file_that_is_vouched_for(tmp_path, told):
    writer = """
        import itertools, sys
        from pathlib import Path
        from fraud_ae.runtime.kept_files import write_kept_json

        for number in itertools.count():
            write_kept_json(Path(sys.argv[1]), {"number": number, "more": "x" * 10_000})
            if number == 0:
                print("ready", flush=True)
    """
    path = tmp_path / "facts.json"
    for _ in range(5):
        command = [sys.executable, "-c", textwrap.dedent(writer), str(path)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout.readline() == "ready\n"
            for _ in range(50):
                assert read_kept(path, parse_json)["more"] == "x" * 10_000
            os.kill(child.pid, signal.SIGKILL)
            child.wait()
        assert read_kept(path, parse_json)["number"] >= 0
    assert not told.records
