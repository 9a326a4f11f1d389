"""The pipeline of the checkout that this package belongs to, run as if it had been typed."""

import importlib
import sys
from pathlib import Path

from fraud_ae.errors import UserError

CHECKOUT = Path(__file__).resolve().parents[2]


def run_pipeline(overrides: list[str]) -> None:
    """Run `python pipeline.py OVERRIDES` in this process, which a signal then ends as a whole.

    Raises SystemExit where the pipeline ends in an error, and UserError where there is no checkout.
    """
    script = CHECKOUT / "pipeline.py"
    if not script.is_file() or not (CHECKOUT / "conf").is_dir():
        raise UserError(
            f"{script}: not there, so nothing can be trained or audited; this takes a checkout of "
            "the project, and in it: pip install -e ."
        )
    sys.path.insert(0, str(CHECKOUT))
    sys.argv = [str(script), *overrides]
    importlib.import_module("pipeline").main()
