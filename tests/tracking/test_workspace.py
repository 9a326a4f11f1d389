import json

import pytest

from tests.commands import fraud_ae
from tests.tracking.offline_runs import settings_of
from tests.tracking.stand_in import KEY, StandIn, dead_server

pytest.importorskip("wandb_workspaces", reason="needs the extra `workspace`")


def saved(folder, url: str, code: int = 0) -> str:
    environment = settings_of(folder / "home") | {"WANDB_API_KEY": KEY, "WANDB_BASE_URL": url}
    arguments = ("workspace", "--project=ours", "--wait-seconds=10")
    return fraud_ae(*arguments, cwd=folder, code=code, **environment)


def test_a_view_is_saved_with_panels_of_what_runs_log(tmp_path):
    with StandIn().running() as server:
        shown = saved(tmp_path, server.url)
        (view,) = server.views
    assert "/me/ours" in shown
    assert not list(tmp_path.glob("outputs/*/runs"))
    assert (view["entityName"], view["projectName"]) == ("me", "ours")
    spec = view["spec"]
    sections = json.loads(spec)["section"]["panelBankConfig"]["sections"]
    assert [section["name"] for section in sections][:2] == ["Strategies", "Sweeps"]
    kinds = {panel["viewType"] for section in sections for panel in section["panels"]}
    assert {"Bar Chart", "Parallel Coordinates Plot", "Parameter Importance"} <= kinds
    for logged in ("final_auc", "roc_table", "precision_recall_table", "top_transactions"):
        assert logged in spec


def test_without_a_server_it_says_so_in_one_line(tmp_path):
    with dead_server() as url:
        shown = saved(tmp_path, url, code=2)
    assert shown.startswith("error: W&B does not save the view (")
    assert "Traceback" not in shown
