"""`fraud-ae sign`: who vouches for a model, where a hash only says that it is whole."""

from pathlib import Path
from typing import Annotated

import typer

from fraud_ae.cli.options import DEFAULT_OUTPUTS, ModelOption, OutputsOption, model_folder

PANEL = "Models"
EXAMPLES = """Examples:

\b
  fraud-ae sign --key team.pem --new-key       makes team.pem and team.pem.pub
  fraud-ae sign --key team.pem --model outputs/shop/models/production
  fraud-ae serve --public-key team.pem.pub     scores with no other model
"""


def sign(
    key: Annotated[
        Path,
        typer.Option(help="File of the private key.", metavar="FILE", show_default=False),
    ],
    new_key: Annotated[
        bool, typer.Option("--new-key", help="Make the key first, and KEY.pub for others.")
    ] = False,
    model: ModelOption = None,
    outputs: OutputsOption = DEFAULT_OUTPUTS,
) -> None:
    """Sign a model, so that `fraud-ae serve --public-key` takes no other."""
    from fraud_ae.detector.manifest import sign_model
    from fraud_ae.runtime.signatures import make_key

    folder = model_folder(model, outputs).resolve()
    if new_key:
        print(f"{make_key(key)}: for those who check; {key} is for you alone")
    digest = sign_model(folder, key)
    print(f"{folder}: signed\ndigest {digest}")
