"""Reading JSON files, each refused by name where it is damaged."""

import json
from pathlib import Path
from typing import Any

from fraud_ae.errors import UserError


def read_json(path: Path) -> Any:
    """What a file says. Raises UserError where it cannot be read, or is nested without end."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: damaged ({type(error).__name__}: {error})") from error
