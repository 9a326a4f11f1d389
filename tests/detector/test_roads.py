"""The same transactions have the same scores by every road: files, frames and requests."""

import gzip
import json
import lzma
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from fraud_ae.data.canonical_file import canonical_file
from fraud_ae.data.files.reading import read_table
from fraud_ae.data.transactions import map_columns
from fraud_ae.detector.detector import FraudDetector
from fraud_ae.detector.scoring_files import score_file

ROWS = 60


@pytest.fixture(scope="module")
def detector(model) -> FraudDetector:
    return FraudDetector.load(model)


@pytest.fixture(scope="module")
def raw(dataset) -> pd.DataFrame:
    """New transactions with every text that some reader takes for something else."""
    new = dataset.transactions.tail(ROWS).drop(columns="is_fraud").reset_index(drop=True)
    times = new["timestamp"] + pd.Timedelta(days=20)
    words = ["NA", "null", "None", "nan", "true", "", "1.50", "007", "x,y", 'quoted "x"']
    return new.assign(
        transaction_id=[f"N{n}" for n in range(ROWS)],
        timestamp=times.dt.strftime("%Y-%m-%d %H:%M:%S.%f"),
        device=[words[n % len(words)] or None for n in range(ROWS)],
    )


def written(raw: pd.DataFrame, folder) -> dict:
    """The table as files of every kind."""
    raw.to_csv(folder / "t.csv", index=False)
    text = (folder / "t.csv").read_bytes()
    raw.to_csv(folder / "t.tsv", index=False, sep="\t")
    (folder / "t.csv.gz").write_bytes(gzip.compress(text))
    (folder / "t.csv.xz").write_bytes(lzma.compress(text))
    with zipfile.ZipFile(folder / "t.csv.zip", "w") as archive:
        archive.writestr("t.csv", text)
    with pa.CompressedOutputStream(str(folder / "t.csv.zst"), "zstd") as stream:
        stream.write(text)
    raw.to_csv(folder / "latin.csv", index=False, sep=";", encoding="utf-16")
    raw.to_parquet(folder / "t.parquet", index=False)
    raw.to_feather(folder / "t.arrow")
    records = json.loads(raw.to_json(orient="records"))
    (folder / "t.jsonl").write_text("\n".join(map(json.dumps, records)))
    (folder / "t.json").write_text(json.dumps(records))
    (folder / "parts").mkdir()
    for start in range(0, ROWS, 25):
        raw[start : start + 25].to_csv(folder / "parts" / f"{start:02d}.csv", index=False)
    return {path.name: path for path in folder.iterdir()} | {"glob": folder / "parts" / "*.csv"}


@pytest.fixture(scope="module")
def files(raw, tmp_path_factory) -> dict:
    return written(raw, tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="module")
def expected(detector, raw) -> tuple[pd.DataFrame, np.ndarray]:
    canonical = map_columns(raw, detector.source_format, labelled=False)
    return canonical, detector.predict_anomaly_scores(raw)


@pytest.mark.parametrize(
    "name",
    [
        "t.csv",
        "t.tsv",
        "t.csv.gz",
        "t.csv.xz",
        "t.csv.zip",
        "t.csv.zst",
        "latin.csv",
        "t.parquet",
        "t.arrow",
        "t.jsonl",
        "t.json",
        "parts",
        "glob",
    ],
)
def test_every_kind_of_file(name, files, detector, expected, tmp_path):
    canonical, scores = expected
    table = read_table(files[name])
    mapped = map_columns(table, detector.source_format, labelled=False)
    pd.testing.assert_frame_equal(mapped, canonical, check_exact=True)
    np.testing.assert_array_equal(detector.predict_anomaly_scores(table), scores)
    remembered = detector.history.transactions
    out = tmp_path / "out.parquet"
    with canonical_file(
        files[name], detector.source_format, None, remembered=remembered
    ) as canonical_rows:
        score_file(detector, canonical_rows, out)
    np.testing.assert_allclose(pd.read_parquet(out)["score"], scores, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ["object", "category", "nullable", "arrow"])
def test_every_type_of_frame(dtype, raw, detector, expected):
    canonical, scores = expected
    if dtype == "nullable":
        frame = raw.convert_dtypes()
    elif dtype == "arrow":
        frame = raw.convert_dtypes(dtype_backend="pyarrow")
    else:
        frame = raw.astype(dtype)
    mapped = map_columns(frame, detector.source_format, labelled=False)
    pd.testing.assert_frame_equal(mapped, canonical, check_exact=True)
    np.testing.assert_array_equal(detector.predict_anomaly_scores(frame), scores)


def test_the_order_of_rows_changes_nothing(raw, detector, expected):
    _, scores = expected
    order = np.random.default_rng(0).permutation(ROWS)
    np.testing.assert_array_equal(detector.predict_anomaly_scores(raw.iloc[order]), scores[order])


def test_a_model_remembers_what_its_features_look_back_to(dataset, raw, detector):
    whole = pd.concat(
        [dataset.transactions, raw.assign(timestamp=pd.to_datetime(raw.timestamp, utc=True))]
    )
    of_all = detector.predict_anomaly_scores(whole)[-ROWS:]
    np.testing.assert_allclose(detector.predict_anomaly_scores(raw), of_all, rtol=1e-4, atol=1e-4)
