"""Folders of tables: which files count, what shows that one is not whole, and hive partitions."""

import glob
import re
from pathlib import Path
from urllib.parse import unquote

from fraud_ae.data.naming import listed
from fraud_ae.errors import DataError

# A log beside the files says which of them count, so that reading all would count rows twice.
_TABLE_LOGS = {"_delta_log": "a Delta table", ".hoodie": "a Hudi table"}
_ICEBERG = "metadata/*.metadata.json"
# Where writers of the Hadoop family keep what is not committed yet.
_UNCOMMITTED = ("_temporary", ".spark-staging*")
# What writers and downloads append to the name of a file that is not whole.
_UNFINISHED = (".tmp", ".inprogress", ".part", ".partial", ".crdownload", "._copying_")
_STARTED, _COMMITTED = "_started_", "_committed_"
_PARTITION = re.compile(r"([^=/]+)=(.*)")
_MISSING_PARTITION = "__HIVE_DEFAULT_PARTITION__"


def files_of_folder(folder: Path) -> list[Path]:
    """The files below a folder that are not hidden, sorted: neither they nor their folders.

    Hidden are names that begin with a point or an underscore, but for `_column=value`, as readers
    of the Hadoop family have it. Raises DataError for a folder whose writing is not finished, and
    for a table of which a log says what counts.
    """
    _check_log(folder)
    paths = sorted(folder.rglob("*"))
    _check_finished(folder, paths)
    return [path for path in paths if path.is_file() and not _is_hidden(path.relative_to(folder))]


def partitions(path: str | Path, file: Path) -> dict[str, str | None]:
    """Column -> value of the hive partitions, `column=value`, that a file of a path lies in.

    path: a folder or a glob, as it was given; folders above what it names are no partitions.
    Values are text, None where the writer says that they are missing.
    """
    parts = file.relative_to(_root(Path(path))).parts[:-1]
    found = [_PARTITION.fullmatch(part) for part in parts]
    values = {unquote(match[1]): unquote(match[2]) for match in found if match}
    return {name: None if value == _MISSING_PARTITION else value for name, value in values.items()}


def _root(path: Path) -> Path:
    """The folder that a path names, or that a glob, or a file, lies in."""
    if path.is_dir():
        return path
    parts = path.parts[:-1]
    if path.exists():
        return Path(*parts)
    plain = next((i for i, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    return Path(*parts[:plain])


def _is_hidden(path: Path) -> bool:
    return any(
        name.startswith(".") or (name.startswith("_") and not _PARTITION.fullmatch(name))
        for name in path.parts
    )


def _check_log(folder: Path) -> None:
    found = [kind for name, kind in _TABLE_LOGS.items() if (folder / name).is_dir()]
    if any(folder.glob(_ICEBERG)):
        found.append("an Iceberg table")
    if found:
        raise DataError(
            f"{folder}: is {found[0]}, whose log says which of its files count; write the rows of "
            "one version into a folder of Parquet files and name that"
        )


def _check_finished(folder: Path, paths: list[Path]) -> None:
    names = {path: path.relative_to(folder).as_posix() for path in paths}
    uncommitted = [p for p in paths if any(p.match(pattern) for pattern in _UNCOMMITTED)]
    unfinished = [p for p in paths if p.is_file() and p.name.lower().endswith(_UNFINISHED)]
    committed = {p.with_name(p.name.removeprefix(_COMMITTED)) for p in paths}
    started = [
        p
        for p in paths
        if p.name.startswith(_STARTED)
        and p.with_name(p.name.removeprefix(_STARTED)) not in committed
    ]
    signs = [names[path] for path in (*uncommitted, *started, *unfinished)]
    if signs:
        raise DataError(
            f"{folder}: is not written to its end, there is {listed(signs, 3)}; wait for its "
            "writer, or remove what a writer that was cut off has left"
        )
