"""Files that a reader, or a kill, finds whole or not at all."""

import json
import os
from pathlib import Path


def write_whole(path: Path, text: str, encoding: str | None = None) -> None:
    """Write a file so that a reader, or a kill, finds it whole or not at all.

    encoding: by default the one of the locale, as `Path.write_text` has it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding=encoding)
    os.replace(draft, path)


def write_json(path: Path, data: dict, indent: int | None = 2) -> None:
    """Write plain data as JSON, whole or not at all; long data is faster without indentation."""
    write_whole(path, json.dumps(data, indent=indent, allow_nan=False) + "\n")
