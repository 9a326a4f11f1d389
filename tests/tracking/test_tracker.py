import json
import os

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.metrics import average_precision_score, roc_auc_score

from fraud_ae.tracking.target import DataReference, TrackingTarget
from fraud_ae.tracking.tracker import track, track_board
from tests.tracking.offline_runs import Tracked, inspected, settings_of, wandb_files


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
    config = compose("wandb.mode=offline", "wandb.project=ours", "stage=features")
    run = train(config, tmp_path_factory.mktemp("runs"))
    (file,) = wandb_files(run.folder)
    return run, config, Tracked(file)


def test_a_training_is_one_finished_run_in_its_own_folder(compose, train, tmp_path):
    runs = [
        train(compose("wandb.mode=offline", "trainer.max_epochs=1", f"seed={seed}"), tmp_path)
        for seed in (1, 2)
    ]
    assert [len(wandb_files(run.folder)) for run in runs] == [1, 1]
    tracked = [Tracked(*wandb_files(run.folder)) for run in runs]
    assert [found.config["seed"] for found in tracked] == [1, 2]
    assert [len(found.curve["train_loss"]) for found in tracked] == [1, 1]
    assert {found.state for found in tracked} == {"finished"}
    assert tracked[0].run["run_id"] != tracked[1].run["run_id"]


def test_a_run_is_grouped_by_experiment_and_named_by_its_stage(offline):
    _, _, tracked = offline
    assert tracked.run["run_group"] == "small"
    assert tracked.run["job_type"] == "features"
    assert tracked.tags == ["feature_sweep"]
    assert tracked.project == "ours"


def test_the_whole_configuration_is_kept_as_numbers_and_texts(offline):
    run, config, tracked = offline
    found = flat(tracked.config)
    assert {type(value) for value in found.values()} <= {str, int, float, bool, type(None)}
    for name, value in flat(config.settings).items():
        if value not in ({}, []):  # W&B leaves out what is empty
            assert found[name] == (", ".join(map(str, value)) if isinstance(value, list) else value)
    assert found["data.fingerprint"] == run.identity["data"]["fingerprint"]


def test_options_of_groups_are_named_in_the_configuration(offline):
    _, _, tracked = offline
    assert tracked.config["features"]["name"] == "combined"


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
    names = ("final_auc", "average_precision", "precision", "recall", "f1", "threshold")
    facts = ("best_epoch", "feature_count", "fraud_ratio", "train_seconds", "alert_rate")
    assert {*names, *facts} <= set(expected)
    assert {name: tracked.summary[name] for name in expected} == pytest.approx(expected)


def test_a_metric_of_ones_own_is_kept_like_the_others(compose, train, tmp_path, monkeypatch):
    (tmp_path / "caught_fraud.py").write_text(
        "def share(y_true, scores):\n    return float(y_true[scores.argsort()[-50:]].mean())\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    own = "metrics.extra.caught=caught_fraud.share"
    run = train(compose("wandb.mode=offline", "trainer.max_epochs=1", own), tmp_path / "runs")
    (file,) = wandb_files(run.folder)
    assert Tracked(file).summary["caught"] == pytest.approx(run.metrics()["caught"])


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


def test_the_confusion_matrix_has_the_counts_of_the_run(offline):
    run, _, tracked = offline
    counts = table(tracked, "confusion_matrix").set_index(["Actual", "Predicted"])["nPredictions"]
    found = run.metrics()
    assert counts.to_dict() == {
        ("normal", "normal"): found["true_negatives"],
        ("normal", "fraud"): found["false_positives"],
        ("fraud", "normal"): found["false_negatives"],
        ("fraud", "fraud"): found["true_positives"],
    }


def test_the_curves_are_those_of_the_scores(offline):
    run, _, tracked = offline
    scored = run.scores()
    roc = table(tracked, "roc_table")
    area = np.trapezoid(roc["recall"], roc["false_positive_rate"])
    assert area == pytest.approx(roc_auc_score(scored["is_fraud"], scored["score"]), abs=0.01)
    curve = table(tracked, "precision_recall_table")
    steps = np.diff(curve["recall"]) * curve["precision"].to_numpy()[1:]
    expected = average_precision_score(scored["is_fraud"], scored["score"])
    assert steps.sum() == pytest.approx(expected, abs=0.01)


def test_the_histograms_hold_all_normal_and_all_fraudulent_rows(offline):
    run, _, tracked = offline
    scored = run.scores()
    normal, fraud = tracked.last("scores_normal"), tracked.last("scores_fraud")
    assert normal["bins"] == fraud["bins"]
    assert sum(normal["values"]) == (scored["is_fraud"] == 0).sum()
    assert sum(fraud["values"]) == (scored["is_fraud"] == 1).sum()
    assert max(normal["bins"]) >= scored["score"].max()


def test_the_highest_scores_are_a_table_with_the_reasons_of_each(offline):
    run, _, tracked = offline
    found, kept = table(tracked, "top_transactions"), run.top_transactions()
    assert found["transaction_id"].tolist() == [row["transaction_id"] for row in kept]
    assert found["alert"].tolist() == [
        int(row["score"] > run.metrics()["threshold"]) for row in kept
    ]
    for told, row in zip(found["reason_1"], kept, strict=True):
        strongest = row["reasons"][0]
        assert strongest["value"] in told
        assert strongest["usual"] in told


def test_the_transactions_are_an_input_of_the_run_by_reference(offline):
    run, _, tracked = offline
    (artifact,) = [each for each in tracked.artifacts if each["type"] == "dataset"]
    fingerprint = run.identity["data"]["fingerprint"]
    assert artifact["type"] == "dataset"
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
        (file,) = wandb_files(tmp_path / str(number))
        (artifact,) = Tracked(file).artifacts
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
    (file,) = wandb_files(folder)
    tracked = Tracked(file)
    assert tracked.tags == ["feature_sweep", "leaderboard"]
    assert tracked.run["display_name"] == "features"
    bars = table(tracked, "comparison_table")
    assert bars.to_dict("list") == {"features": ["combined", "baseline"], "final_auc": [0.9, 0.7]}
    reasons = table(tracked, "leaderboard")["reason"]
    assert reasons.isna().tolist() == [True, True, False]
    assert reasons.iloc[2] == "no column"


def test_all_that_waits_to_be_sent_lies_with_the_run(tmp_path, monkeypatch, finished_run):
    monkeypatch.delenv("WANDB_DATA_DIR")
    info = tmp_path / "model_info.yaml"
    info.write_text("name: small\n")
    with track(target(), tmp_path / "run") as tracker:
        tracker.log_model(finished_run.model_folder, info, "small-detector", (), {})
    assert "WANDB_DATA_DIR" not in os.environ
    (file,) = wandb_files(tmp_path)
    (artifact,) = Tracked(file).artifacts
    for entry in artifact["manifest"]["contents"]:
        assert entry["local_path"].startswith(str(tmp_path / "run"))


def test_tracking_does_not_change_the_run(offline, finished_run):
    run, _, _ = offline
    assert run.id == finished_run.id
    expected = {k: v for k, v in finished_run.metrics().items() if k != "train_seconds"}
    assert {k: v for k, v in run.metrics().items() if k != "train_seconds"} == expected


def test_disabled_writes_nothing(finished_run):
    assert not list(finished_run.folder.rglob("*wandb*"))


def target(**settings) -> TrackingTarget:
    known = {"mode": "offline", "project": "ours", "entity": None, "group": "g", "job_type": "j"}
    return TrackingTarget(**known | {"tags": ()} | settings)


def scored(labels: list[int], scores: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"is_fraud": labels, "score": np.array(scores, dtype=np.float32)})


def test_disabled_needs_no_folder_and_takes_figures(tmp_path):
    with track(target(mode="disabled"), tmp_path / "run") as tracker:
        tracker.use_data(DataReference("shop", "f"))
        tracker.log_evaluation(scored([0, 1], [0.1, 0.2]), 0.1, {"final_auc": 0.5}, [])
        tracker.log_model(tmp_path / "model", tmp_path / "info.yaml", "detector", (), {})
        assert tracker.lightning_logger() is None
    assert not list(tmp_path.iterdir())


def test_a_training_that_fails_is_closed_as_failed(tmp_path):
    with pytest.raises(RuntimeError, match="diverged"), track(target(), tmp_path):
        raise RuntimeError("diverged")
    (file,) = wandb_files(tmp_path)
    found = json.loads(inspected(file, "--summary"))
    assert found["exit_code"] == 1


@pytest.mark.parametrize("scores", [[0.1, 0.2], [0.3, 0.3]], ids=["distinct", "all equal"])
def test_figures_that_are_undefined_are_left_out(tmp_path, scores):
    with track(target(), tmp_path) as tracker:
        one_class = scored([0, 0], scores)
        tracker.log_evaluation(one_class, 0.5, {"final_auc": None, "recall": 0.0}, [])
    (file,) = wandb_files(tmp_path)
    found = Tracked(file)
    assert found.summary["recall"] == 0
    assert "final_auc" not in found.summary
    assert sum(found.last("scores_normal")["values"]) == 2
    assert not list(tmp_path.rglob("roc*"))


def test_a_model_is_kept_as_an_artifact_of_all_its_files(finished_run, tmp_path):
    info = tmp_path / "model_info.yaml"
    info.write_text("name: small\n")
    with track(target(), tmp_path) as tracker:
        tracker.log_model(
            finished_run.model_folder, info, "small detector", ("production",), {"name": "small"}
        )
    (file,) = wandb_files(tmp_path)
    (artifact,) = Tracked(file).artifacts
    assert (artifact["name"], artifact["type"]) == ("small-detector", "model")
    assert "production" in artifact["aliases"]
    assert json.loads(artifact["metadata"]) == {"name": "small"}
    names = {entry["path"] for entry in artifact["manifest"]["contents"]}
    assert names == {info.name, *(path.name for path in finished_run.model_folder.iterdir())}


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
    made = make(config, finished_run, fit_on, tmp_path)
    (file,) = wandb_files(made.plan.run.folder)
    tracked = Tracked(file)
    models = [artifact for artifact in tracked.artifacts if artifact["type"] == "model"]
    assert {artifact["name"] for artifact in models} == {"small-detector"}
    assert [set(artifact["aliases"]) - {"latest"} for artifact in models] == versions
    for artifact in models:
        info = yaml.safe_load((tmp_path / "model_info.yaml").read_text())
        assert json.loads(artifact["metadata"]) == info
    test = made.info["figures"]["winner"]["test"]
    assert tracked.summary["test_auc"] == pytest.approx(test["test_auc"])
    assert len(table(tracked, "top_transactions")) == 25
