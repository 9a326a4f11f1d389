"""There is no engine to build an image with: the steps of the Dockerfile are run as they stand."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fraud_ae.data.input_schema import InputSchema
from tests.commands import ROOT
from tests.confinement import can_confine, confined
from tests.serving.running import RunningService

DOCKERFILE = (ROOT / "Dockerfile").read_text()


def instructions() -> list[tuple[str, str]]:
    """Name and arguments of each instruction."""
    lines = DOCKERFILE.replace("\\\n", " ").splitlines()
    return [tuple(line.split(maxsplit=1)) for line in lines if line and not line.startswith("#")]


def stage(number: int) -> list[tuple[str, str]]:
    starts = [i for i, (name, _) in enumerate(instructions()) if name == "FROM"]
    return instructions()[starts[number] : [*starts, None][number + 1]]


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> Path:
    """The virtual environment of the image, made by the steps of its first stage."""
    root = tmp_path_factory.mktemp("image")
    allowed = (ROOT / ".dockerignore").read_text().splitlines()
    for name, arguments in stage(0):
        if name == "COPY":
            *sources, _ = arguments.split()
            for source in sources:
                assert f"!{source}" in allowed
                copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
                (root / "build").mkdir(exist_ok=True)
                copy(ROOT / source, root / "build" / Path(source).name)
        if name == "RUN":
            step = arguments.replace("/opt/", f"{root}/opt/")
            # One try for the index of PyTorch, which may be out of reach here. What is imported is
            # compiled then: of all that is installed, it is little.
            own = {"PIP_RETRIES": "0", "PIP_NO_COMPILE": "1", "PYTHONPATH": ""}
            subprocess.run(
                ["sh", "-ec", step], cwd=root / "build", env={**os.environ, **own}, check=True
            )
    return root / "opt" / "fraud_ae"


@pytest.mark.slow
def test_the_image_serves_a_model_as_its_command_says(environment, model, tmp_path):
    told = dict(stage(1))
    (entry,), command = json.loads(told["ENTRYPOINT"]), json.loads(told["CMD"])
    assert command[:3] == ["serve", "--model", "/models/production"]
    assert command[-2:] == ["--store", "/history/history.db"]
    service = RunningService(
        model,
        tmp_path,
        *command[3:-2],
        command=(str(environment / "bin" / entry),),
        PYTHONPATH="",
        FRAUD_AE_API_KEY="secret",
    )
    try:
        _, check = told["HEALTHCHECK"].split("CMD")
        _, *code = json.loads(check.replace("8000", str(service.port)))
        subprocess.run([str(environment / "bin" / "python"), *code], check=True)
        example = InputSchema.load(model).example
        assert service.post("/score", example).status_code == 401
        service.key = "secret"
        answer = service.post("/score", example)
        assert answer.status_code == 200, answer.text
        assert answer.json()["transaction_id"] == example["transaction_id"]
    finally:
        assert service.stop() == 0


@pytest.mark.slow
@pytest.mark.skipif(not can_confine(), reason="mounting an overlay is not allowed here")
def test_the_image_serves_without_rights_on_a_read_only_root(environment, model, tmp_path):
    """Steps of both stages and the command, with the user, mounts and rights of compose.yaml."""
    told = dict(stage(1))
    (entry,), command = json.loads(told["ENTRYPOINT"]), json.loads(told["CMD"])
    history = tmp_path / "history"
    history.mkdir()
    user = int(told["USER"])
    os.chown(history, user, user)
    service = RunningService(
        Path(command[2]),
        tmp_path / "outside",
        *command[3:],
        command=(
            *confined(
                tmp_path / "mounts",
                step=told["RUN"],
                environment=environment,
                model=model,
                history=history,
                user=user,
            ),
            entry,
        ),
        PYTHONPATH="",
        FRAUD_AE_API_KEY="secret",
    )
    try:
        service.key = "secret"
        example = InputSchema.load(model).example
        answer = service.post("/score", example)
        assert answer.status_code == 200, answer.text
        assert answer.json()["transaction_id"] == example["transaction_id"]
        process = Path("/proc") / str(service.process.pid)
        status = dict(
            line.split(":\t", 1) for line in (process / "status").read_text().splitlines()
        )
        assert status["Uid"].split() == status["Gid"].split() == [told["USER"]] * 4
        assert {int(status[name], 16) for name in ("CapPrm", "CapEff", "CapBnd")} == {0}
        assert status["NoNewPrivs"] == "1"
        # Not even root writes where the service reads.
        installed = str(environment / "lib").removeprefix("/")
        for folder in ("", "etc", "var/log", installed, "models/production"):
            with pytest.raises(OSError, match=re.escape(os.strerror(errno.EROFS))):
                (process / "root" / folder / "written").touch()
        # The environment is seen where its scripts say that it lies.
        left = {path.name for path in (process / "root" / "tmp").iterdir()}
        assert left <= set(environment.parts), left
    finally:
        assert service.stop() == 0
    assert (history / "history.db").stat().st_uid == user
    assert all(path.name.startswith("history.db") for path in history.iterdir())
    assert not service.store.exists()


def test_the_image_runs_as_nobody_in_particular_with_pinned_packages():
    told = dict(stage(1))
    assert told["USER"] == "10001"
    assert "HEALTHCHECK" in told
    assert all(re.search(r":\d+\.\d+\.\d+-slim", a) for n, a in instructions() if n == "FROM")
    installs = [arguments for name, arguments in stage(0) if name == "RUN" and "pip" in arguments]
    assert len(installs) == 2
    assert "--require-hashes" in installs[0]
    assert "--no-build-isolation" in installs[1]


def test_compose_gives_no_rights_and_nothing_to_write_but_history_and_tmp():
    service = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["fraud_ae"]
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]  # noqa: S108
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    written = [volume for volume in service["volumes"] if not volume.endswith(":ro")]
    assert written == ["history:/history"]


def test_compose_mounts_model_and_history():
    service = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["fraud_ae"]
    targets = [volume.split(":")[-2:] for volume in service["volumes"]]
    assert any("/models" in target for target in targets)
    assert any("/history" in target for target in targets)
    assert set(json.loads(dict(stage(1))["VOLUME"])) == {"/models", "/history"}


def test_the_dockerfile_has_nothing_that_hadolint_minds():
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if hadolint is None:
        pytest.skip("there is no build of hadolint for this machine")
    found = subprocess.run([hadolint, str(ROOT / "Dockerfile")], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout
