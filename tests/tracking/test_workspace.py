import json
import subprocess
import sys

import pytest

from tests.commands import ROOT
from tests.tracking.offline_runs import settings_of
from tests.tracking.stand_in import KEY, StandIn

pytest.importorskip("wandb_workspaces", reason="needs the extra `workspace`")


def test_a_view_is_saved_with_panels_of_what_runs_log(tmp_path):
    with StandIn().running() as server:
        script = (
            "from fraud_ae.tracking.workspace import save_workspace\n"
            "print(save_workspace('me', 'ours'))\n"
        )
        environment = settings_of(tmp_path) | {"WANDB_API_KEY": KEY, "WANDB_BASE_URL": server.url}
        command = [sys.executable, "-c", script]
        shown = subprocess.run(
            command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True
        ).stdout
        (view,) = server.views
    assert "/me/ours" in shown
    assert (view["entityName"], view["projectName"]) == ("me", "ours")
    spec = view["spec"]
    sections = json.loads(spec)["section"]["panelBankConfig"]["sections"]
    assert [each["name"] for each in sections][:2] == ["Strategies", "Sweeps"]
    kinds = {panel["viewType"] for each in sections for panel in each["panels"]}
    assert {"Bar Chart", "Parallel Coordinates Plot", "Parameter Importance"} <= kinds
    for logged in ("final_auc", "roc_table", "precision_recall_table", "top_transactions"):
        assert logged in spec
