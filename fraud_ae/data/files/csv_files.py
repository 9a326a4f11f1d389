"""CSV files as tables of text: what a value means is decided later, alike for all kinds of file."""

import csv
import io
import itertools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as arrow_csv
from charset_normalizer import from_bytes

from fraud_ae.data.files.paths import uncompressed
from fraud_ae.data.source_format import SourceFormat
from fraud_ae.errors import DataError

_LOGGER = logging.getLogger("fraud_ae")
_SAMPLE = 1 << 20
_BLOCK = 1 << 24
_RECORDS = 50
_SEPARATORS = ",;\t|^~"
_BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


@dataclass(frozen=True)
class Dialect:
    """How a CSV is written.

    names: of its columns, in their order, which may repeat. header_lines: how many lines they take.
    """

    encoding: str
    separator: str
    names: tuple[str, ...]
    header_lines: int


def csv_dialect(path: Path, source_format: SourceFormat | None = None) -> Dialect:
    """The dialect of a file; what the format does not say is guessed from its first lines.

    Raises ValueError for a file that is no text, DataError for a header of another length.
    """
    source_format = source_format or SourceFormat(columns={})
    with uncompressed(path) as stream:
        sample = stream.read(_SAMPLE)
    encoding = source_format.encoding or _encoding(sample, path)
    text = sample.decode(encoding, errors="replace")
    if "\0" in text:
        raise ValueError("the file is not text")
    separator = source_format.separator
    if separator is None:
        separator = "\t" if ".tsv" in path.suffixes else _separator(text)
    elif len(separator) != 1:
        raise DataError(f"data.separator: {separator!r} must be one character")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    first = next((record for record in reader if record), [])
    if not first:
        raise ValueError("the file is empty")
    header = source_format.header
    if header is None:
        return Dialect(encoding, separator, tuple(first), reader.line_num)
    if len(header) != len(first):
        raise DataError(
            f"{path}: data.header names {len(header)} columns, and the file has {len(first)}"
        )
    return Dialect(encoding, separator, header, 0)


def _encoding(sample: bytes, path: Path) -> str:
    for start, encoding in _BYTE_ORDER_MARKS.items():
        if sample.startswith(start):
            return encoding
    try:
        # The sample may end within a character.
        sample[: sample.rfind(b"\n") + 1 or None].decode("utf-8")
    except UnicodeDecodeError:
        guessed = from_bytes(sample).best()
        # The most common of those that read the same.
        likely = guessed.could_be_from_charset if guessed else ["cp1252"]
        encoding = "cp1252" if "cp1252" in likely else likely[0]
        _LOGGER.warning("%s is not UTF-8; read as %s (data.encoding)", path, encoding)
        return encoding
    return "utf-8"


def _separator(text: str) -> str:
    """The character that cuts the first records into the most columns, alike in all of them."""
    best, most = ",", 1
    for separator in _SEPARATORS:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        # The last record of the sample may be cut off.
        records = [record for record in itertools.islice(reader, _RECORDS) if record]
        lengths = {len(record) for record in (records[:-1] if len(records) > 2 else records)}
        header = len(records[0]) if records else 0
        if lengths == {header} and header > most:
            best, most = separator, header
    if most == 1:
        line = next(iter(text.splitlines()), "")
        best = max(_SEPARATORS, key=line.count)
    return best


@contextmanager
def csv_batches(path: Path, dialect: Dialect) -> Iterator[Iterator[pa.Table]]:
    """The records of a CSV as tables of text, some at a time; blank is missing.

    Columns are named by their number, since names may repeat. Raises ValueError for a record with
    more or fewer fields than the header.
    """
    numbers = [str(number) for number in range(len(dialect.names))]
    read = arrow_csv.ReadOptions(
        column_names=numbers,
        skip_rows=dialect.header_lines,
        encoding=dialect.encoding.replace("utf-8-sig", "utf-8"),
        block_size=_BLOCK,
    )
    parse = arrow_csv.ParseOptions(delimiter=dialect.separator, newlines_in_values=True)
    convert = arrow_csv.ConvertOptions(
        column_types=dict.fromkeys(numbers, pa.large_string()),
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=True,
    )
    with uncompressed(path) as stream:
        options = {"read_options": read, "parse_options": parse, "convert_options": convert}
        try:
            reader = arrow_csv.open_csv(pa.PythonFile(stream, mode="r"), **options)
        except pa.ArrowInvalid as error:
            if "Empty CSV file" not in str(error):
                raise
            yield iter([_no_records(numbers)])
            return
        with reader:
            batches = (pa.Table.from_batches([batch]) for batch in reader)
            yield itertools.chain([_no_records(numbers)], batches)


def _no_records(names: list[str]) -> pa.Table:
    return pa.table({name: pa.array([], pa.large_string()) for name in names})
