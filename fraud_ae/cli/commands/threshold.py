"""`fraud-ae threshold`: another threshold for a model, and what it would have done."""

from typing import Annotated, Literal

import typer

from fraud_ae.cli.options import DEFAULT_OUTPUTS, ModelOption, OutputsOption, model_folder
from fraud_ae.errors import UserError

PANEL = "Models"
EXAMPLES = """Examples:

\b
  fraud-ae threshold                               every way side by side
  fraud-ae threshold --method budget --alerts-per-day 20
  fraud-ae threshold --value 0.4 --save            kept in the model
"""


def threshold(
    model: ModelOption = None,
    method: Annotated[
        Literal["percentile", "best_f1", "recall", "precision", "budget", "cost"] | None,
        typer.Option(help="How to choose it; by default all ways are shown.", show_default=False),
    ] = None,
    value: Annotated[
        float | None, typer.Option(help="Or the number itself.", show_default=False)
    ] = None,
    percentile: Annotated[
        float, typer.Option(help="percentile: so many percent are not alerted on.")
    ] = 95.0,
    least_recall: Annotated[float, typer.Option(help="recall: the share of frauds to find.")] = 0.8,
    least_precision: Annotated[
        float, typer.Option(help="precision: the share of alerts that are to be right.")
    ] = 0.5,
    alerts_per_day: Annotated[float, typer.Option(help="budget: alerts in a day.")] = 100.0,
    review_cost: Annotated[
        float, typer.Option(help="cost: of one alert, in the currency of the amounts.")
    ] = 10.0,
    save: Annotated[bool, typer.Option("--save", help="Keep the threshold in the model.")] = False,
    outputs: OutputsOption = DEFAULT_OUTPUTS,
) -> None:
    """Show what another threshold would have done on validation; with --save, keep it."""
    from fraud_ae.detector.thresholds import change_threshold, show_thresholds

    parameters = {
        "percentile": percentile,
        "least_recall": least_recall,
        "least_precision": least_precision,
        "alerts_per_day": alerts_per_day,
        "review_cost": review_cost,
    }
    if method and value is not None:
        raise UserError("--method and --value: give one of them")
    if method is None and value is None:
        if save:
            raise UserError("--save needs --method or --value: which threshold is to be kept?")
        show_thresholds(model_folder(model, outputs), parameters)
        return
    policy = {"method": method, **parameters} if method else {"threshold": value}
    change_threshold(model_folder(model, outputs), policy, save)
