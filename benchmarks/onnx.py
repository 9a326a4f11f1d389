"""How fast a detector scores features with PyTorch, and with its ONNX file.

python -m benchmarks.onnx
python -m benchmarks.onnx --rows 100000 --json onnx.json

A table of many rows, and one row at a time. Both sides begin with features and end with scores.
"""

import tempfile
from pathlib import Path

from benchmarks.measuring import alternated, compared, parser, show, write
from benchmarks.scoring import detectors
from fraud_ae.detector.onnx.conversion import export_onnx, made_up_features
from fraud_ae.detector.onnx.scorer import OnnxScorer

_ALONE = 200


def main() -> None:
    """Measure, print the table, and write JSON."""
    options = parser(__doc__, repeats=5)
    options.add_argument("--rows", type=int, default=50_000)
    chosen = options.parse_args()
    table = []
    with tempfile.TemporaryDirectory() as folder:
        for name, detector in detectors(Path(folder)).items():
            many = made_up_features(detector.encoder, chosen.rows)
            single = [many.iloc[[row]] for row in range(_ALONE)]
            scorer = OnnxScorer(export_onnx(detector, Path(folder) / f"{name}.onnx").path)
            scores = {"ONNX": scorer.score, "PyTorch": detector.score_features}
            sides, rows = {}, {}
            for side, score in scores.items():
                sides[f"{side}, table"] = lambda score=score, many=many: score(many)
                sides[f"{side}, singly"] = lambda score=score, single=single: [
                    score(row) for row in single
                ]
                rows |= {f"{side}, table": chosen.rows, f"{side}, singly": _ALONE}
            seconds = alternated(sides, chosen.repeats)
            for row in compared(seconds, rows, "ONNX, table"):
                rate = row["rows_per_second"]
                figures = {"rows_per_second": rate, "ms_per_row": 1e3 / rate}
                table.append(
                    {"side": row["side"], "scorer": name, "seconds": row["seconds"], **figures}
                )
    title = f"Scoring features: {chosen.rows:,} rows in a table, {_ALONE} singly"
    show(title, table, f"{chosen.repeats} rounds, medians")
    write(chosen.json, onnx=table)


if __name__ == "__main__":
    main()
