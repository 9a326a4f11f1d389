"""Names of columns in messages, and names that a pattern stands for."""

import difflib
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase


def did_you_mean(names: Sequence[str], candidates: Iterable) -> str:
    """The candidate that is most like one of the names, as a question; nothing without one."""
    lowered = {str(candidate).lower(): str(candidate) for candidate in candidates}
    for name in names:
        similar = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.6)
        if len(name) > 2:
            similar += [candidate for candidate in lowered if name.lower() in candidate]
        if similar:
            return f" (did you mean {lowered[similar[0]]!r}?)"
    return ""


def short(text: object, length: int = 60) -> str:
    """Text on one line, cut to `length` characters."""
    line = " ".join(str(text).split())
    return line if len(line) <= length else line[: length - 3] + "..."


def listed(names: Iterable, most: int = 40) -> str:
    """Names in a row, at most so many of them."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(short(name) for name in names[:most]) + more


def is_pattern(name: str, columns: Sequence[str]) -> bool:
    """Whether a name stands for several columns: with * or ?, or as FIRST:LAST."""
    return name not in columns and any(character in name for character in "*?:")


def matching(pattern: str, columns: Sequence[str]) -> list[str]:
    """The columns that a pattern or a range FIRST:LAST stands for, in their order."""
    first, colon, last = pattern.partition(":")
    if colon and first in columns and last in columns:
        return list(columns[columns.index(first) : columns.index(last) + 1])
    return [name for name in columns if fnmatchcase(name, pattern)]


def as_ranges(names: Sequence[str], columns: Sequence[str], least: int = 5) -> list[str]:
    """Names with runs of at least so many that follow one another as FIRST:LAST, see `matching`.

    columns: all of the file, in its order, each once.
    """
    places = {column: place for place, column in enumerate(columns)}
    runs: list[list[str]] = []
    for name in sorted(names, key=places.__getitem__):
        if runs and places[runs[-1][-1]] == places[name] - 1 and ":" not in name:
            runs[-1].append(name)
        else:
            runs.append([name])
    return [
        part
        for run in runs
        for part in ([f"{run[0]}:{run[-1]}"] if len(run) >= least and ":" not in run[0] else run)
    ]
