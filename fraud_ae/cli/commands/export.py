"""`fraud-ae export`: a model as an ONNX file, which is scored without PyTorch."""

from fraud_ae.cli.options import DEFAULT_OUTPUTS, ModelOption, OutputsOption, model_folder

PANEL = "Models"
EXAMPLES = """Examples:

\b
  fraud-ae export
  fraud-ae export --model outputs/shop/models/production
"""


def export(model: ModelOption = None, outputs: OutputsOption = DEFAULT_OUTPUTS) -> None:
    """Write MODEL/model.onnx, from features to scores, and compare it with PyTorch."""
    from fraud_ae.detector.onnx.export import export_model

    exported, rates = export_model(model_folder(model, outputs))
    size = f"{exported.bytes / 1e6:.1f} MB"
    print(f"{exported.path}: {size}")
    print(
        f"scores of {exported.rows:,} made-up rows differ by at most "
        f"{exported.largest_difference:.1g} from PyTorch"
    )
    for name, rate in rates.items():
        print(f"{name}: {rate:,.0f} rows/s")
