"""`fraud-ae forget`: a customer out of the history store."""

from typing import Annotated

import typer

from fraud_ae.cli.options import DEFAULT_OUTPUTS, ModelOption, OutputsOption, model_folder

PANEL = "Scoring"
EXAMPLES = """Examples:

\b
  fraud-ae forget --customer C0042
  fraud-ae forget --customer C0042 --store /history/history.db

The service that has the file open must be stopped for it; those that share a database may go on.
"""


def forget(
    customer: Annotated[str, typer.Option(help="Id of the customer.", metavar="ID")],
    model: ModelOption = None,
    store: Annotated[
        str | None,
        typer.Option(
            help="The file that serve keeps, by default history.db beside models/, or the URL.",
            show_default=False,
        ),
    ] = None,
    outputs: OutputsOption = DEFAULT_OUTPUTS,
) -> None:
    """Remove a customer from the history store, and say what else holds rows of theirs."""
    from fraud_ae.data.input_schema import INPUT_SCHEMA
    from fraud_ae.experiments.run_store import TOP_TRANSACTIONS
    from fraud_ae.serving.forgetting import forget_customer, rows_elsewhere
    from fraud_ae.serving.store_file import default_store

    path = store or default_store(model_folder(model, outputs))
    removed = forget_customer(path, customer)
    print(
        f"{path}: removed {removed.transactions:,} transactions, {removed.answers:,} answers and "
        f"{removed.labels:,} outcomes of customer {customer}"
    )
    folders = {folder.resolve() for folder in (outputs, model) if folder and folder.is_dir()}
    for folder in sorted(folders):
        for file, rows in rows_elsewhere(folder, customer, removed.ids):
            holds = "cannot be read" if rows is None else f"still holds {rows:,} rows of theirs"
            print(f"{file}: {holds}")
    looked = " and ".join(map(str, sorted(folders))) or "no folder"
    print(
        f"looked for more in the Parquet files, {TOP_TRANSACTIONS} and {INPUT_SCHEMA} of {looked}; "
        "not in reports, the files that models are made of, what `score` and `explain` wrote, "
        "other stores, copies, and Weights & Biases"
    )
