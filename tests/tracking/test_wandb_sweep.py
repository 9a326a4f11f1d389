"""A sweep of W&B's own: `wandb sweep` and `wandb agent`, with a stand-in for the server."""

import json
import subprocess

import pytest
import yaml

from tests.commands import ROOT, run_in
from tests.tracking.offline_runs import WANDB, settings_of
from tests.tracking.stand_in import KEY, StandIn

SWEEP = ROOT / "docs" / "wandb_sweep.yaml"
SMALL = ("data.n_transactions=2000", "trainer.max_epochs=1", "scorer=reconstruction")


def proposed(number: int, **values) -> dict:
    arguments = {name: {"value": value} for name, value in values.items()}
    return {"type": "run", "run_id": f"run{number}", "program": "train.py", "args": arguments}


def test_every_parameter_of_the_sweep_is_understood(tmp_path):
    settings = yaml.safe_load(SWEEP.read_text())
    fixed = [part for part in settings["command"] if "=" in part]
    chosen = [
        f"{k}={(v.get('values') or [v['min']])[0]}" for k, v in settings["parameters"].items()
    ]
    shown = run_in(ROOT, "train.py", "--cfg", "job", *fixed, *chosen)
    assert f"project: {settings['project']}" in shown
    assert settings["metric"] == {"name": "final_auc", "goal": "maximize"}
    for name in settings["parameters"]:
        assert f"{name.split('.')[-1]}: " in shown


@pytest.mark.slow
def test_an_agent_trains_what_the_server_proposes(tmp_path):
    settings = yaml.safe_load(SWEEP.read_text())
    settings["command"][-1:-1] = SMALL
    file = tmp_path / "sweep.yaml"
    file.write_text(yaml.safe_dump(settings, sort_keys=False))
    for name in ("train.py", "conf", "fraud_ae"):
        (tmp_path / name).symlink_to(ROOT / name)
    with StandIn().running() as server:
        environment = settings_of(tmp_path) | {"WANDB_API_KEY": KEY, "WANDB_BASE_URL": server.url}
        environment |= {"PATH": f"{WANDB.parent}:{environment['PATH']}"}

        def wandb(*arguments: str) -> None:
            command = [str(WANDB), *arguments]
            subprocess.run(command, cwd=tmp_path, env=environment, check=True, timeout=300)

        wandb("sweep", str(file))
        wide = {"model.latent_dim": 8, "model.activation": "silu"}
        server.commands = [proposed(1, **wide), proposed(2, **wide)]
        wandb("agent", "me/fraud-detection-autoencoder/sweep1")
    # The second is the run of the first, which is not trained again, and logged all the same.
    runs = list(tmp_path.glob("outputs/wandb_sweep/runs/*/metrics.json"))
    assert len(runs) == 1
    expected = json.loads(runs[0].read_text())["final_auc"]
    assert set(server.runs) == {"run1", "run2"}
    for run in server.runs.values():
        assert run["sweep"] == "sweep1"
        assert json.loads(run["config"])["model"]["value"]["latent_dim"] == 8
    for name in ("run1", "run2"):
        assert server.summaries[name]["final_auc"] == pytest.approx(expected)
        assert [line for line in server.history[name] if "train_loss" in line]
