import json
import os

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.metrics import average_precision_score, roc_auc_score

from fraud_ae.tracking.target import DataReference, TrackingTarget
from fraud_ae.tracking.tracker import track, track_board
from tests.tracking.offline_runs import Tracked, settings_of, wandb_files


@pytest.fixture(scope="module", autouse=True)
def _nobody(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("home")
        for name in [name for name in os.environ if name.startswith("WANDB_")]:
            patch.delenv(name)
        for name, value in settings_of(home).items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def offline(compose, train, tmp_path_factory):
    """A run of the store, and what W&B kept of its training."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "caught_fraud.py").write_text(
        "def share(y_true, scores):\n    return float(y_true[scores.argsort()[-50:]].mean())\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        own = ("metrics.extra.caught=caught_fraud.share", "allowed_modules=[caught_fraud]")
        config = compose("wandb.mode=offline", "wandb.project=ours", "stage=features", *own)
        run = train(config, folder / "runs")
    return run, config, tracked_in(run.folder)


def tracked_in(folder) -> Tracked:
    """The one W&B run that lies in a folder."""
    (file,) = wandb_files(folder)
    return Tracked(file)


def target(**settings) -> TrackingTarget:
    known = {"mode": "offline", "project": "ours", "entity": None, "group": "g", "job_type": "j"}
    return TrackingTarget(**known | {"tags": ()} | settings)


@pytest.mark.slow
@pytest.mark.promise(14)
def test_every_training_is_a_finished_run_with_an_id_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_RUN_ID", "mine")
    for name in ("a", "b"):
        with track(target(), tmp_path / name):
            pass
    a, b = tracked_in(tmp_path / "a"), tracked_in(tmp_path / "b")
    assert a.state == b.state == "finished"
    assert len({a.run["run_id"], b.run["run_id"], "mine"}) == 3


def test_a_run_has_the_group_of_its_experiment_and_the_whole_configuration(offline):
    run, config, tracked = offline
    assert (tracked.run["run_group"], tracked.run["job_type"]) == ("small", "features")
    assert (tracked.tags, tracked.project) == (["feature_sweep"], "ours")
    found = flat(tracked.config)
    assert {type(value) for value in found.values()} <= {str, int, float, bool, type(None)}
    for name, value in flat(config.settings).items():
        if value not in ({}, []):  # W&B leaves out what is empty
            assert found[name] == (", ".join(map(str, value)) if isinstance(value, list) else value)
    assert found["data.fingerprint"] == run.identity["data"]["fingerprint"]
    assert found["features.name"] == "combined"


def flat(config: dict, prefix: str = "") -> dict:
    """Dotted names, as W&B's panels show them."""
    found = {}
    for name, value in config.items():
        inner = flat(value, f"{prefix}{name}.") if isinstance(value, dict) and value else None
        found |= inner or {f"{prefix}{name}": value}
    return found


def test_the_summary_has_the_figures_of_the_run_under_flat_names(offline):
    run, _, tracked = offline
    expected = {name: value for name, value in run.metrics().items() if value is not None}
    names = ("final_auc", "average_precision", "precision", "recall", "f1", "threshold", "caught")
    facts = ("best_epoch", "feature_count", "fraud_ratio", "train_seconds", "alert_rate")
    assert {*names, *facts} <= set(expected)
    assert {name: tracked.summary[name] for name in expected} == pytest.approx(expected)


def test_the_training_curve_has_a_point_for_each_epoch(offline):
    run, _, tracked = offline
    history = run.history()
    for name in ("train_loss", "val_loss", "learning_rate"):
        assert tracked.curve[name] == pytest.approx(history[name].tolist(), rel=1e-5)


def table(tracked: Tracked, name: str) -> pd.DataFrame:
    """A table that was logged under this name, or the data of a chart of this name."""
    (file,) = tracked.folder.rglob(f"{name}*.table.json")
    content = json.loads(file.read_text())
    return pd.DataFrame(content["data"], columns=content["columns"])


def test_charts_show_the_scores_and_alerts_of_the_run(offline):
    run, _, tracked = offline
    scored, figures = run.scores(), run.metrics()
    counts = table(tracked, "confusion_matrix").set_index(["Actual", "Predicted"])["nPredictions"]
    assert counts.to_dict() == {
        ("normal", "normal"): figures["true_negatives"],
        ("normal", "fraud"): figures["false_positives"],
        ("fraud", "normal"): figures["false_negatives"],
        ("fraud", "fraud"): figures["true_positives"],
    }
    roc = table(tracked, "roc_table")
    area = np.trapezoid(roc["recall"], roc["false_positive_rate"])
    assert area == pytest.approx(roc_auc_score(scored["is_fraud"], scored["score"]), abs=0.01)
    curve = table(tracked, "precision_recall_table")
    steps = np.diff(curve["recall"]) * curve["precision"].to_numpy()[1:]
    expected = average_precision_score(scored["is_fraud"], scored["score"])
    assert steps.sum() == pytest.approx(expected, abs=0.01)
    normal, fraud = tracked.last("scores_normal"), tracked.last("scores_fraud")
    assert normal["bins"] == fraud["bins"]
    assert sum(normal["values"]) == (scored["is_fraud"] == 0).sum()
    assert sum(fraud["values"]) == (scored["is_fraud"] == 1).sum()
    assert max(normal["bins"]) >= scored["score"].max()


def test_the_highest_scores_are_a_table_with_the_reasons_of_each(offline):
    run, _, tracked = offline
    found, top = table(tracked, "top_transactions"), run.top_transactions()
    assert found["transaction_id"].tolist() == [row["transaction_id"] for row in top]
    threshold = run.metrics()["threshold"]
    assert found["alert"].tolist() == [int(row["score"] > threshold) for row in top]
    for text, row in zip(found["reason_1"], top, strict=True):
        strongest = row["reasons"][0]
        assert strongest["value"] in text
        assert strongest["usual"] in text


def test_the_transactions_are_an_input_of_the_run_by_reference(offline):
    run, _, tracked = offline
    (artifact,) = [found for found in tracked.artifacts if found["type"] == "dataset"]
    fingerprint = run.identity["data"]["fingerprint"]
    assert artifact["use_after_commit"]
    assert json.loads(artifact["metadata"]) == {"fingerprint": fingerprint, "path": None}
    (entry,) = artifact["manifest"]["contents"]
    assert entry["ref"] == f"generated://synthetic/{fingerprint}"


def test_a_file_is_an_input_whose_version_is_its_fingerprint(tmp_path, capfd):
    path = tmp_path / "my shop.csv"
    path.write_text("a\n1\n")
    digests = set()
    for number, fingerprint in enumerate(("one", "two", "two")):
        data = DataReference("my shop", fingerprint, str(path))
        with track(target(data=data), tmp_path / str(number)):
            pass
        (artifact,) = tracked_in(tmp_path / str(number)).artifacts
        assert artifact["name"] == "my-shop-transactions"
        (entry,) = artifact["manifest"]["contents"]
        assert entry["ref"] == path.as_uri()
        digests.add(artifact["digest"])
    assert len(digests) == 2
    # Nothing of it is uploaded, and nothing is said.
    assert not list(tmp_path.rglob("files/**/my shop.csv"))
    assert not capfd.readouterr().err


def test_a_leaderboard_is_a_table_and_bars_of_those_that_have_a_figure(tmp_path):
    board = pd.DataFrame(
        {
            "rank": [1, 2, 3],
            "features": ["combined", "baseline", "refused one"],
            "final_auc": [0.9, 0.7, np.nan],
            "reason": [None, None, "no column"],
        }
    )
    folder = tmp_path / "leaderboards" / "features"
    track_board(board, "features", target(tags=("feature_sweep",)), folder)
    tracked = tracked_in(folder)
    assert tracked.tags == ["feature_sweep", "leaderboard"]
    assert tracked.run["display_name"] == "features"
    bars = table(tracked, "comparison_table")
    assert bars.to_dict("list") == {"features": ["combined", "baseline"], "final_auc": [0.9, 0.7]}
    reasons = table(tracked, "leaderboard")["reason"]
    assert reasons.isna().tolist() == [True, True, False]
    assert reasons.iloc[2] == "no column"


def test_tracking_does_not_change_the_run(offline, finished_run):
    run, _, _ = offline
    assert run.id == finished_run.id
    expected = {k: v for k, v in finished_run.metrics().items() if k != "train_seconds"}
    assert {name: run.metrics()[name] for name in expected} == expected


def scored(labels: list[int], scores: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"is_fraud": labels, "score": np.array(scores, dtype=np.float32)})


def test_disabled_takes_figures_and_writes_nothing(finished_run, tmp_path):
    with track(target(mode="disabled"), tmp_path / "run") as tracker:
        tracker.use_data(DataReference("shop", "f"))
        tracker.log_evaluation(scored([0, 1], [0.1, 0.2]), 0.1, {"final_auc": 0.5}, [])
        tracker.log_model(tmp_path / "model", tmp_path / "info.yaml", "detector", (), {})
        assert tracker.lightning_logger() is None
    assert not list(tmp_path.iterdir())
    assert not list(finished_run.folder.rglob("*wandb*"))


def test_a_training_that_fails_is_closed_as_failed(tmp_path):
    with pytest.raises(RuntimeError, match="diverged"), track(target(), tmp_path):
        raise RuntimeError("diverged")
    assert tracked_in(tmp_path).exit_code == 1


@pytest.mark.parametrize("scores", [[0.1, 0.2], [0.3, 0.3]], ids=["distinct", "all equal"])
def test_figures_that_are_undefined_are_left_out(tmp_path, scores):
    with track(target(), tmp_path) as tracker:
        one_class = scored([0, 0], scores)
        tracker.log_evaluation(one_class, 0.5, {"final_auc": None, "recall": 0.0}, [])
    found = tracked_in(tmp_path)
    assert found.summary["recall"] == 0
    assert "final_auc" not in found.summary
    assert sum(found.last("scores_normal")["values"]) == 2
    assert not list(tmp_path.rglob("roc*"))


def test_a_model_is_an_artifact_of_all_its_files_which_wait_with_the_run(
    finished_run, tmp_path, monkeypatch
):
    monkeypatch.delenv("WANDB_DATA_DIR")
    info = tmp_path / "model_info.yaml"
    info.write_text("name: small\n")
    logged = (finished_run.model_folder, info, "small detector", ("production",), {"name": "small"})
    with track(target(), tmp_path / "run") as tracker:
        tracker.log_model(*logged)
    assert "WANDB_DATA_DIR" not in os.environ
    (artifact,) = tracked_in(tmp_path).artifacts
    assert (artifact["name"], artifact["type"]) == ("small-detector", "model")
    assert "production" in artifact["aliases"]
    assert json.loads(artifact["metadata"]) == {"name": "small"}
    entries = artifact["manifest"]["contents"]
    names = {info.name, *(path.name for path in finished_run.model_folder.iterdir())}
    assert {entry["path"] for entry in entries} == names
    assert all(entry["local_path"].startswith(str(tmp_path / "run")) for entry in entries)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fit_on", "versions"),
    [
        ("train", [{"candidate", "production"}]),
        ("train+validation", [{"candidate"}, {"production"}]),
    ],
)
def test_the_model_for_production_and_its_candidate_are_versions_of_one_artifact(
    compose, make, finished_run, tmp_path, fit_on, versions
):
    config = compose("wandb.mode=offline", "stage=production")
    made = make(config, finished_run, fit_on, tmp_path, folds=2)
    tracked = tracked_in(made.plan.run.folder)
    models = [artifact for artifact in tracked.artifacts if artifact["type"] == "model"]
    assert {artifact["name"] for artifact in models} == {"small-detector"}
    assert [set(artifact["aliases"]) - {"latest"} for artifact in models] == versions
    info = yaml.safe_load((tmp_path / "model_info.yaml").read_text())
    assert all(json.loads(artifact["metadata"]) == info for artifact in models)
    test = made.info["figures"]["winner"]["test"]
    assert tracked.summary["test_auc"] == pytest.approx(test["test_auc"])
    assert len(table(tracked, "top_transactions")) == 25
