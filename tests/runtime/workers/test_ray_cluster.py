"""Tasks of a real Ray cluster of two nodes on this machine."""

import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fraud_ae.errors import TrainingDiverged, UserError, WorkerLost
from fraud_ae.runtime.workers.packed import check_surroundings, surroundings
from tests.commands import ROOT
from tests.runtime.workers.functions import fail, kill_itself, threads, warn

pytestmark = [pytest.mark.scale, pytest.mark.slow]
ray = pytest.importorskip("ray")
from fraud_ae.runtime.workers.ray_cluster import RayWorkers  # noqa: E402
from tests.ray_cluster import RayCluster  # noqa: E402


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with (
        RayCluster(tmp_path_factory.mktemp("cluster"), nodes=2) as cluster,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in cluster.environment.items():
            patch.setenv(name, value)
        yield cluster
        ray.shutdown()


@pytest.fixture
def workers(cluster):
    workers = RayWorkers(cluster.address, cpus=1, gpus=0, memory=None)
    yield workers
    workers.kill()


def test_there_are_as_many_at_a_time_as_nodes_have_cores(workers):
    assert workers.count == 2


def test_results_errors_and_messages_come_back(workers, caplog, tmp_path):
    workers.start(tmp_path / "experiment")
    futures = [workers.submit(warn, number) for number in range(3)]
    failing = workers.submit(fail, TrainingDiverged("epoch 3"))
    lost = workers.submit(kill_itself)
    counted = workers.submit(threads)
    assert [workers.outcome(future) for future in futures] == [0, 1, 2]
    assert [record.getMessage() for record in caplog.records] == ["seen before"]
    assert workers.outcome(counted) == 1
    with pytest.raises(TrainingDiverged, match="epoch 3"):
        workers.outcome(failing)
    with pytest.raises(WorkerLost, match="was lost"):
        workers.outcome(lost)
    assert list((tmp_path / "experiment").iterdir()) == []


def test_what_is_killed_makes_way_for_others(workers):
    started = time.monotonic()
    for _ in range(3):
        workers.submit(time.sleep, 600)
    time.sleep(1)
    workers.kill()
    assert workers.outcome(workers.submit(abs, -1)) == 1
    assert time.monotonic() - started < 60


@pytest.mark.parametrize("asked", [{"cpus": 2}, {"gpus": 1}, {"memory": 10**15}])
def test_what_no_node_has_is_refused_and_not_waited_for(cluster, asked):
    settings = {"cpus": 1, "gpus": 0, "memory": None, **asked}
    ((name, value),) = asked.items()
    with pytest.raises(UserError, match=rf"no node of the cluster has .*{name}={value}"):
        RayWorkers(cluster.address, **settings)


def test_without_a_cluster_there_is_one_line():
    code = (
        "from fraud_ae.runtime.workers.ray_cluster import RayWorkers\n"
        "try: RayWorkers('127.0.0.1:1', 1, 0, None)\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.startswith("UserError hydra.launcher.address=127.0.0.1:1: no Ray cluster")


def test_what_finds_no_memory_is_lost_and_not_tried_for_ever(tmp_path, monkeypatch):
    # Of a node that takes any use of memory for too much.
    monkeypatch.setenv("RAY_memory_usage_threshold", "0.01")
    code = (
        "import sys, time\n"
        "from fraud_ae.runtime.workers.ray_cluster import RayWorkers\n"
        "workers = RayWorkers(sys.argv[1], 1, 0, None)\n"
        "try: workers.outcome(workers.submit(time.sleep, 600))\n"
        "except Exception as error: print(type(error).__name__, type(error.__cause__).__name__)\n"
    )
    with RayCluster(tmp_path, nodes=1) as cluster:
        environment = {**os.environ, **cluster.environment, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", code, cluster.address]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    assert done.stdout == "WorkerLost OutOfMemoryError\n", done.stderr


def test_a_node_with_other_versions_or_another_disk_is_named(tmp_path):
    token = tmp_path / "token"
    token.touch()
    here = surroundings(token)
    assert here["Python"] == platform.python_version()
    check_surroundings(here, surroundings(token), "node a")
    with pytest.raises(UserError, match=f"^node a does not see {tmp_path}: outputs_dir must"):
        check_surroundings(here, surroundings(Path(tmp_path, "other")), "node a")
    with pytest.raises(UserError, match="^node b has torch 1.0, this machine 2.*install the same"):
        check_surroundings(here, {**here, "torch": "1.0"}, "node b")
