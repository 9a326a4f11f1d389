"""The same transactions have the same scores by every road: files, frames and requests."""

from functools import partial
from pathlib import Path

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


def to_zst(raw: pd.DataFrame, path: Path) -> None:
    with pa.CompressedOutputStream(str(path), "zstd") as stream:
        raw.to_csv(stream, index=False, mode="wb")


def to_parts(raw: pd.DataFrame, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    for start in range(0, ROWS, 25):
        raw[start : start + 25].to_csv(path.parent / f"{start:02d}.csv", index=False)


WRITERS = {
    "t.csv": partial(pd.DataFrame.to_csv, index=False),
    "t.tsv": partial(pd.DataFrame.to_csv, index=False, sep="\t"),
    "t.csv.gz": partial(pd.DataFrame.to_csv, index=False),
    "t.csv.xz": partial(pd.DataFrame.to_csv, index=False),
    "t.csv.zip": partial(pd.DataFrame.to_csv, index=False),
    "t.csv.zst": to_zst,
    "utf16.csv": partial(pd.DataFrame.to_csv, index=False, sep=";", encoding="utf-16"),
    "t.parquet": partial(pd.DataFrame.to_parquet, index=False),
    "t.arrow": pd.DataFrame.to_feather,
    "t.jsonl": partial(pd.DataFrame.to_json, orient="records", lines=True),
    "t.json": partial(pd.DataFrame.to_json, orient="records"),
    "parts/*.csv": to_parts,
}


@pytest.fixture(scope="module")
def expected(detector, raw) -> tuple[pd.DataFrame, np.ndarray]:
    canonical = map_columns(raw, detector.source_format, labelled=False)
    return canonical, detector.predict_anomaly_scores(raw)


@pytest.mark.promise(11)
@pytest.mark.promise(1)
@pytest.mark.parametrize("name", WRITERS)
def test_every_kind_of_file(name, raw, detector, expected, tmp_path):
    canonical, scores = expected
    path = tmp_path / name
    WRITERS[name](raw, path)
    table = read_table(path)
    mapped = map_columns(table, detector.source_format, labelled=False)
    pd.testing.assert_frame_equal(mapped, canonical, check_exact=True)
    np.testing.assert_array_equal(detector.predict_anomaly_scores(table), scores)
    if name == "parts/*.csv":
        path = path.parent  # a folder, too, is a table
    out, known = tmp_path / "out.parquet", detector.history.transactions
    with canonical_file(path, detector.source_format, None, remembered=known) as file:
        score_file(detector, file, out)
    np.testing.assert_allclose(pd.read_parquet(out)["score"], scores, rtol=1e-5, atol=1e-6)


@pytest.mark.promise(1)
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


@pytest.mark.promise(4)
def test_a_model_remembers_what_its_features_look_back_to(dataset, raw, detector):
    whole = pd.concat(
        [dataset.transactions, raw.assign(timestamp=pd.to_datetime(raw.timestamp, utc=True))]
    )
    of_all = detector.predict_anomaly_scores(whole)[-ROWS:]
    np.testing.assert_allclose(detector.predict_anomaly_scores(raw), of_all, rtol=1e-4, atol=1e-4)
