"""`fraud-ae serve`: a model over HTTP."""

import logging
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from fraud_ae.cli.options import DEFAULT_OUTPUTS, ModelOption, OutputsOption, model_folder
from fraud_ae.errors import UserError

log = logging.getLogger("fraud_ae")

PANEL = "Scoring"
EXAMPLES = """Examples:

\b
  fraud-ae serve --history transactions.csv
  FRAUD_AE_API_KEY=secret fraud-ae serve --model MODEL --host 0.0.0.0
  fraud-ae serve --keys keys.yaml          several keys, each with roles and a rate
  PGPASSWORD=secret fraud-ae serve --store postgresql://shop@db.example/shop
  curl -X POST localhost:8000/reload       another model, as kill -HUP does
"""

_NEEDED = ("fastapi", "fastapi_offline", "uvicorn", "prometheus_client")


def serve(
    context: typer.Context,
    model: ModelOption = None,
    history: Annotated[
        Path | None,
        typer.Option(
            help="File of earlier transactions, with the labels that are known.",
            show_default=False,
        ),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            help="File for history, answers and labels, by default history.db beside models/; or "
            "postgresql://USER@HOST/NAME, which several services share.",
            show_default=False,
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.", min=0, max=65535)] = 8000,
    api_key: Annotated[
        str | None,
        typer.Option(
            help="Ask every client for it, in the header X-API-Key. To be set with the variable: "
            "what stands on the command line is seen by others.",
            envvar="FRAUD_AE_API_KEY",
            show_default=False,
        ),
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option(
            help="YAML file of several keys, each with its roles and its rate.",
            envvar="FRAUD_AE_API_KEYS",
            show_default=False,
        ),
    ] = None,
    digest: Annotated[
        str | None,
        typer.Option(
            help="Serve this model and no other: 16 or more characters of its digest.",
            show_default=False,
        ),
    ] = None,
    public_key: Annotated[
        Path | None,
        typer.Option(
            help="Serve only what the owner of this key has signed, with fraud-ae sign.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    max_body: Annotated[int, typer.Option(help="Bytes of a request.", min=1)] = 1_000_000,
    max_batch: Annotated[int, typer.Option(help="Transactions of a request.", min=1)] = 1000,
    max_waiting: Annotated[int, typer.Option(help="Transactions that wait.", min=1)] = 2000,
    timeout: Annotated[float, typer.Option(help="Seconds to an answer.", min=0.1)] = 10.0,
    max_connections: Annotated[int, typer.Option(help="Open connections.", min=1)] = 800,
    max_per_address: Annotated[
        int, typer.Option(help="Open connections from one address, such as a proxy.", min=1)
    ] = 200,
    outputs: OutputsOption = DEFAULT_OUTPUTS,
) -> None:
    """Score transactions over HTTP, remember them, and let people review the alerts."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise UserError(f"{', '.join(missing)} not installed: pip install 'fraud_ae[serve]'")
    source = context.get_parameter_source("api_key")
    if source is not None and source.name == "COMMANDLINE":
        log.warning(
            "everybody on this machine can read --api-key in the list of processes; set the "
            "variable FRAUD_AE_API_KEY instead"
        )
    # One thread scores; libraries that share out a few rows only take cores from the network.
    for name in ("OMP_NUM_THREADS", "POLARS_MAX_THREADS"):
        os.environ.setdefault(name, "1")
    from fraud_ae.detector.manifest import Origin
    from fraud_ae.serving.http.keys import read_keys
    from fraud_ae.serving.http.server import serve_model
    from fraud_ae.serving.limits import Limits
    from fraud_ae.serving.store_file import default_store

    folder = model_folder(model, outputs)
    serve_model(
        folder,
        host,
        port,
        default_store(folder) if store is None else store,
        Limits(max_body, max_batch, max_waiting, timeout, max_connections, max_per_address),
        history=history,
        keys=read_keys(keys, api_key),
        origin=Origin(digest, public_key),
    )
