"""`fraud-ae inspect`: what a file of transactions is, and the command that reads it."""

import itertools
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from fraud_ae.errors import UserError

PANEL = "Data"
# More columns of one kind and role in a row are said in three rows.
_MOST_ALIKE = 12
EXAMPLES = """Examples:

\b
  fraud-ae inspect payments.csv
  fraud-ae inspect payments.csv --write conf/data/shop.yaml
  fraud-ae inspect 'exports/*.parquet'
"""


def inspect(
    file: Annotated[
        Path,
        typer.Argument(help="File, directory or glob of transactions.", show_default=False),
    ],
    write: Annotated[
        Path | None,
        typer.Option(
            "--write",
            help="Write the option of `data`, DIR/data/NAME.yaml.",
            metavar="YAML",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Look at a file: columns, what they may stand for, what would go wrong, and the command."""
    from rich.console import Console

    from fraud_ae.data.inspection import inspect_file, option_of

    if write is not None and (write.suffix != ".yaml" or write.absolute().parent.name != "data"):
        raise UserError(f"--write {write}: must be a YAML in a folder data, as conf/data/shop.yaml")
    found = inspect_file(file)
    if found.rows == 0:
        raise UserError(f"{file}: the table has no rows")
    console = Console(highlight=False, soft_wrap=True)
    _print_file(found, console)
    option = option_of(found, write.stem if write else "custom")
    _print_columns(found, option, console)
    for note in found.notes:
        console.print(f"note: {note}", markup=False)
    for problem in found.problems:
        console.print(f"problem: {problem}", markup=False)
    if write is not None:
        _write(option, write)
        console.print(f"written: {write}", markup=False)
    console.print("\n" + _command(option, write), markup=False)


def _print_file(found: Any, console: Any) -> None:
    rows = f"the first {found.rows:,} rows" if found.cut else f"{found.rows:,} rows"
    how = found.kind
    if found.dialect is not None:
        separator = {"\t": "tab", " ": "blank"}.get(found.dialect.separator)
        how += f", separator {separator or found.dialect.separator}, {found.dialect.encoding}"
    files = f", {found.files} files" if found.files > 1 else ""
    console.print(f"{found.path}: {rows}, {len(found.columns)} columns ({how}{files})")


def _print_columns(found: Any, option: dict, console: Any) -> None:
    from rich.table import Table

    roles = {}
    for name, source in option["columns"].items():
        for column in source if isinstance(source, list) else [source]:
            roles[column] = name
    roles |= dict.fromkeys(found.settings["extra_columns"], "extra number")
    roles |= dict.fromkeys(found.settings["extra_categories"], "extra category")
    table = Table("column", "taken for", "kind", "missing", "distinct", "such as")
    for column in table.columns[2:5]:
        column.no_wrap = True
    table.columns[5].min_width = 8
    for column in table.columns[3:5]:
        column.justify = "right"
    for column in table.columns[:2]:
        column.overflow = "fold"
    alike = itertools.groupby(found.columns, lambda c: (roles.get(c.name, ""), c.kind))
    for (role, kind), group in alike:
        columns = list(group)
        shown = columns if len(columns) <= _MOST_ALIKE else columns[:2]
        for column in shown:
            table.add_row(*_row(column, role))
        if len(shown) < len(columns):
            table.add_row(f"... to {columns[-1].name}", f"{len(columns) - 2:,} more", kind)
    console.print(table, soft_wrap=False)


def _row(column: Any, role: str) -> tuple[str, ...]:
    from fraud_ae.data.naming import short

    return (
        column.name or "(unnamed)",
        role,
        column.kind,
        f"{column.missing:.0%}" if column.missing else "",
        f"{column.distinct:,}",
        short(column.example, 16),
    )


def _write(option: dict, path: Path) -> None:
    import yaml

    from fraud_ae.runtime.atomic_files import write_whole

    if path.exists():
        raise UserError(f"{path}: is there already; write another, or remove it")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, yaml.safe_dump(option, sort_keys=False, allow_unicode=True))


def _command(option: dict, written: Path | None) -> str:
    """What trains on the file as it was found."""
    if written is not None:
        folder = written.absolute().parent.parent
        # conf/ of the project itself is where the commands look.
        place = "" if _is_project(folder) else f"--config-dir {shlex.quote(str(folder))} "
        return f"python pipeline.py {place}data={written.stem}"
    settings = [f"data.path={_quoted(option['path'])}"]
    for key, value in option["columns"].items():
        if value != key:
            settings.append(f"data.columns.{key}={_quoted(value)}")
    for key, value in option.items():
        if key == "split":
            settings.append(f"data.split.label_delay_days={value['label_delay_days']}")
        # What labels mean is guessed again.
        elif key not in ("defaults", "_target_", "name", "path", "columns", "labels_map"):
            settings.append(f"data.{key}={_quoted(value)}")
    return " \\\n  ".join(["python pipeline.py data=custom", *map(shlex.quote, settings)])


def _is_project(folder: Path) -> bool:
    from fraud_ae.configuration.command_line import CONF

    return folder.resolve() == CONF.resolve()


def _quoted(value: Any) -> str:
    """A value as an override of Hydra writes it."""
    if value is None:
        return "null"
    if isinstance(value, list):
        return f"[{','.join(map(_quoted, value))}]"
    if isinstance(value, int | float):
        return f"{value:g}"
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
