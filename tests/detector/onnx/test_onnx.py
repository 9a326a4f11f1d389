import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest

from fraud_ae.detector.detector import FraudDetector
from fraud_ae.detector.manifest import ONNX_MODEL
from fraud_ae.detector.onnx.export import export_model, export_onnx, made_up_features
from fraud_ae.detector.onnx.scorer import METADATA, OnnxScorer
from fraud_ae.errors import UserError
from fraud_ae.experiments.run_store import Run
from fraud_ae.features.encoder import Encoder
from fraud_ae.features.strategy import compute_features
from fraud_ae.scorers.calibrated import CalibratedScorer
from fraud_ae.scorers.mahalanobis import MahalanobisScorer
from fraud_ae.scorers.reconstruction import ReconstructionScorer
from tests.commands import run
from tests.small_detectors import NETWORKS, made_detector, made_up

SMALL = {"hidden_sizes": [16], "latent_dim": 4}
PLAIN = {**NETWORKS["plain"], **SMALL}


def with_gaps(n: int, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Numbers that are missing now and then, flags, long tails, categories with gaps."""
    features, labels = made_up(n, seed)
    rng = np.random.default_rng(seed)
    features["amount"] = rng.lognormal(3, 2, n).round(2)
    features["flag"] = rng.random(n) < 0.1
    features["constant"] = 3.0
    features["age"] = pd.Series(rng.integers(18, 90, n)).mask(rng.random(n) < 0.2)
    features["device"] = pd.Series(rng.choice(["tv", "phone"], n)).mask(rng.random(n) < 0.1)
    return features, labels


def strange(features: pd.DataFrame) -> pd.DataFrame:
    """The same rows with what training never saw."""
    rng = np.random.default_rng(9)
    numbers = features.select_dtypes("float64").columns
    changed = features.assign(device="a new one", flag=features["flag"].astype("float64"))
    far = rng.choice([1.0, -1e3, 1e9, np.nan], (len(features), len(numbers)))
    changed[numbers] = features[numbers] * far
    changed["kind"] = changed["kind"].mask(rng.random(len(features)) < 0.5)
    return changed


def assert_alike(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def assert_exported(detector: FraudDetector, features: pd.DataFrame, path: Path) -> None:
    export_onnx(detector, path)
    scorer = OnnxScorer(path)
    for rows in (features, features.iloc[:1], features.iloc[5:7], strange(features)):
        assert_alike(scorer.score(rows), detector.score_features(rows))
    assert scorer.score(features.iloc[:0]).shape == (0,)


SCORERS = {
    "reconstruction": ReconstructionScorer(cap=5.0),
    "mahalanobis": MahalanobisScorer(),
    "calibrated": CalibratedScorer(members=3),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "activation", "norm", "scorer", "scaling", "clip"),
    [
        ("plain", "relu", "none", "calibrated", "standard", 3.0),
        ("plain", "leaky_relu", "batch", "reconstruction", "standard", None),
        ("plain", "tanh", "layer", "mahalanobis", "robust", 3.0),
        ("plain", "silu", "batch", "calibrated", "robust", None),
        ("masked", "leaky_relu", "layer", "calibrated", "robust", 3.0),
        ("masked", "silu", "none", "mahalanobis", "quantile", None),
        ("variational", "relu", "none", "calibrated", "quantile", None),
        ("variational", "tanh", "none", "reconstruction", "quantile", 3.0),
        ("members", "relu", "batch", "calibrated", "standard", 3.0),
        ("members", "silu", "layer", "reconstruction", "robust", None),
    ],
)
def test_the_file_gives_the_scores_of_every_kind_of_detector(
    network, activation, norm, scorer, scaling, clip, tmp_path
):
    features, labels = with_gaps(6000 if scaling == "quantile" else 3000)
    several = {"members": 2, "rounds": 1} if network == "masked" else {}
    settings = {**NETWORKS[network], **SMALL, **several, "activation": activation, "norm": norm}
    encoder = Encoder(scaling, clip=clip)
    detector = made_detector(features, labels, settings, SCORERS[scorer], encoder)
    assert_exported(detector, features, tmp_path / "model.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["numbers alone", "categories alone"])
def test_features_of_one_kind_are_enough(kind, tmp_path):
    features, labels = made_up(500)
    some = features[["kind"]] if kind == "categories alone" else features.drop(columns="kind")
    detector = made_detector(some, labels, PLAIN, ReconstructionScorer())
    export_onnx(detector, tmp_path / "model.onnx")
    found = OnnxScorer(tmp_path / "model.onnx").score(some)
    assert_alike(found, detector.score_features(some))


@pytest.mark.slow
def test_without_labels_the_calibrated_scorer_is_written_as_what_it_fell_back_to(tmp_path):
    features, labels = made_up(500)
    detector = made_detector(features, labels * 0, PLAIN, CalibratedScorer(), Encoder(clip=None))
    export_onnx(detector, tmp_path / "model.onnx")
    found = OnnxScorer(tmp_path / "model.onnx").score(features)
    assert_alike(found, detector.score_features(features))


def test_made_up_features_are_of_all_kinds():
    features, _ = with_gaps(1000)
    encoder = Encoder().fit(features)
    made = made_up_features(encoder, 1000)
    assert list(made) == [*encoder.numeric_, *encoder.categories_]
    assert made["amount"].isna().any()
    assert made["amount"].abs().max() > 1e6
    inputs = pd.DataFrame(encoder.transform(made), columns=encoder.input_names())
    ones = inputs[[name for name in inputs if name.startswith(("kind=", "device="))]]
    assert (ones.sum() > 0).all()


class OwnScorer(ReconstructionScorer):
    """Not one of this package."""


def test_a_scorer_that_cannot_be_expressed_is_named(tmp_path):
    features, labels = made_up(200)
    detector = made_detector(features, labels, PLAIN, OwnScorer())
    with pytest.raises(UserError, match="OwnScorer"):
        export_onnx(detector, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_file_whose_scores_differ_is_not_written(tmp_path, monkeypatch):
    features, labels = made_up(200)
    detector = made_detector(features, labels, PLAIN, ReconstructionScorer())
    other = detector.score_features(features) + 1e-3
    monkeypatch.setattr(FraudDetector, "score_features", lambda self, features: other)
    with pytest.raises(UserError, match="differ"):
        export_onnx(detector, tmp_path / "model.onnx", features)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def model(finished_run: Run, tmp_path_factory) -> Path:
    """A saved model with its ONNX file; tests that change it take a copy."""
    folder = tmp_path_factory.mktemp("exported") / "model"
    shutil.copytree(finished_run.model_folder, folder)
    exported, rates = export_model(folder)
    assert exported.path == folder / ONNX_MODEL
    assert exported.largest_difference <= 1e-5
    assert set(rates) == {"ONNX Runtime", "PyTorch"}
    return folder


@pytest.mark.slow
def test_a_detector_scores_with_its_onnx_file_without_pytorch(model, dataset, tmp_path):
    code = """
import sys
import numpy as np
import pandas as pd
from fraud_ae import FraudDetector

detector = FraudDetector.load(sys.argv[1], onnx=True)
np.save(sys.argv[3], detector.predict_anomaly_scores(pd.read_parquet(sys.argv[2])))
assert not {"torch", "xgboost", "onnx"} & set(sys.modules)
"""
    raw, found = tmp_path / "raw.parquet", tmp_path / "scores.npy"
    dataset.transactions.to_parquet(raw)
    subprocess.run([sys.executable, "-W", "error", "-c", code, model, raw, found], check=True)
    expected = FraudDetector.load(model).predict_anomaly_scores(dataset.transactions)
    assert_alike(np.load(found), expected)


def test_reasons_and_encoded_rows_are_those_of_the_network(model, dataset, tmp_path):
    whole, detector = FraudDetector.load(model), FraudDetector.load(model, onnx=True)
    features = compute_features(detector.strategy, dataset.transactions).iloc[-20:]
    inputs = detector.encoder.transform(features)
    assert detector.reasons(inputs) == whole.reasons(inputs)
    np.testing.assert_array_equal(detector.score_inputs(inputs), whole.score_inputs(inputs))
    detector.set_threshold(0.25).save(tmp_path / "saved")
    assert FraudDetector.load(tmp_path / "saved").threshold == 0.25


def test_without_a_file_that_the_manifest_knows_the_command_is_named(model, finished_run, tmp_path):
    copy = shutil.copytree(finished_run.model_folder, tmp_path / "copy")
    shutil.copy(model / ONNX_MODEL, copy)
    for folder in (finished_run.model_folder, copy):
        command = f"keeps no model.onnx; write it: fraud-ae export --model {folder}"
        with pytest.raises(UserError, match=command):
            FraudDetector.load(folder, onnx=True)


@pytest.mark.slow
def test_the_command_writes_the_file_and_says_how_it_compares(finished_run, dataset, tmp_path):
    shutil.copytree(finished_run.model_folder, tmp_path / "model")
    printed = run("-m", "fraud_ae", "export", "--model=model", cwd=tmp_path)
    assert re.search(r"^model/model\.onnx: \d+\.\d MB$", printed, re.MULTILINE)
    assert "20,000 made-up rows differ by at most" in printed
    assert re.search(r"^ONNX Runtime: [\d,]+ rows/s$", printed, re.MULTILINE)
    assert re.search(r"^PyTorch: [\d,]+ rows/s$", printed, re.MULTILINE)
    assert len(printed.splitlines()) == 4
    detector = FraudDetector.load(tmp_path / "model", onnx=True)
    expected = FraudDetector.load(finished_run.model_folder)
    rows = dataset.transactions.tail(200)
    found = detector.predict_anomaly_scores(rows)
    assert_alike(found, expected.predict_anomaly_scores(rows))
    assert "no such folder" in run(
        "-m", "fraud_ae", "export", "--model=other", cwd=tmp_path, fails=True
    )


def test_the_file_of_another_model_is_refused(model, tmp_path):
    copy = shutil.copytree(model, tmp_path / "copy")
    detector = FraudDetector.load(copy)
    detector.encoder.clip = 3.0
    detector.save(copy)
    with pytest.raises(UserError, match="another model"):
        FraudDetector.load(copy, onnx=True)


@pytest.mark.parametrize("kind", ["text", "not ours", "of the future"])
def test_a_file_that_is_no_detector_is_refused(model, tmp_path, kind):
    path = tmp_path / "other.onnx"
    graph = onnx.load(model / ONNX_MODEL)
    (entry,) = (entry for entry in graph.metadata_props if entry.key == METADATA)
    if kind == "not ours":
        graph.metadata_props.remove(entry)
    else:
        entry.value = json.dumps({**json.loads(entry.value), "format": 99})
    path.write_bytes(b"text" if kind == "text" else graph.SerializeToString())
    with pytest.raises(UserError, match="other.onnx"):
        OnnxScorer(path)


def test_a_missing_feature_is_named(model):
    scorer = OnnxScorer(model / ONNX_MODEL)
    features = made_up_features(FraudDetector.load(model).encoder, 5)
    with pytest.raises(UserError, match=scorer.numeric[0]):
        scorer.score(features.drop(columns=scorer.numeric[0]))
