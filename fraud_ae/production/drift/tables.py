"""What a check found, on a screen of 80 columns."""

import textwrap
from collections.abc import Mapping

from rich import box
from rich.console import Console
from rich.table import Table

_MOST_NAMED = 5
_NAMED_KINDS = ("unseen values", "missing column")


def show(checked: Mapping) -> None:
    """Print the result of `check_drift`."""
    console = Console(highlight=False, width=80)

    def print_filled(text: str, indent: str = "  ") -> None:
        console.print(textwrap.fill(text, 80, subsequent_indent=indent), markup=False)

    print_filled(verdict(checked))
    for name, period in (("now", checked["period"]), ("then", checked["reference"])):
        console.print(
            f"  {name:<5} {period['rows']:,} transactions, {period['from'][:10]} to "
            f"{period['to'][:10]}, {period['rows_per_day']:,.0f} a day"
        )
    console.print(_distributions(checked))
    others = _others(checked)
    if others.row_count:
        console.print(others)
    for reason, names in not_judged(checked).items():
        print_filled(f"  not judged, {reason}: {', '.join(names)}", "    ")
    shift = typical_shift(checked)
    if shift is not None:
        print_filled(
            f"  So many transactions show a shift of {shift:.2f} standard deviations of a typical "
            "feature, 19 times of 20."
        )


def verdict(checked: Mapping) -> str:
    """In one line whether something has drifted, and what."""
    findings = checked["findings"]
    names = [
        f"{f['name']} ({f['kind']})" if f["kind"] in _NAMED_KINDS else f["name"]
        for f in findings
        if f["drift"]
    ]
    names = list(dict.fromkeys(names))
    if not names:
        left = sum(finding["not_judged"] is not None for finding in findings)
        more = f"; {left} of {len(findings)} could not be judged" if left else ""
        return f"stable: nothing has drifted{more}"
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"drift: {', '.join(names[:_MOST_NAMED])}{more}"


def not_judged(checked: Mapping) -> dict[str, list[str]]:
    """Why something could not be compared -> what."""
    reasons: dict[str, list[str]] = {}
    for finding in checked["findings"]:
        if finding["not_judged"]:
            reasons.setdefault(finding["not_judged"], []).append(finding["name"])
    return reasons


def typical_shift(checked: Mapping) -> float | None:
    """The smallest shift that is found 19 times of 20, of the middle one of all features."""
    shifts = sorted(
        f["details"]["smallest_shift"]
        for f in checked["findings"]
        if f["kind"] == "feature" and f["details"]
    )
    return shifts[len(shifts) // 2] if shifts else None


def _distributions(checked: Mapping) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("feature", overflow="fold", max_width=36)
    for name in ("PSI", "chance", "p", "median", "now"):
        table.add_column(name, justify="right", no_wrap=True)
    for finding in checked["findings"]:
        details = finding["details"]
        if finding["kind"] not in ("feature", "score") or not details:
            continue
        then, now = (f"{q[2]:.4g}" if q else "" for q in details["quantiles"])
        table.add_row(
            finding["name"],
            f"{details['psi']:.3f}",
            f"{details['expected']:.3f}",
            p_value(finding["p_corrected"]),
            then,
            now,
            style="bold red" if finding["drift"] else None,
        )
    return table


def _others(checked: Mapping) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for name in ("", "then", "now", "p"):
        table.add_column(name, justify="left" if not name else "right", overflow="fold")
    for finding in checked["findings"]:
        row = other_row(finding)
        if row:
            style = "bold red" if finding["drift"] else None
            table.add_row(*row, p_value(finding["p_corrected"]), style=style)
    return table


def other_row(finding: Mapping) -> tuple[str, str, str] | None:
    """Name, then and now of what is no feature; None of what there is nothing to say about."""
    details, name = finding["details"], finding["name"]
    if finding["kind"] == "missing column":
        unused = "" if finding["matters"] else " (not used)"
        return f"column {name}{unused}", "there", "missing"
    if not details:
        return None
    if finding["kind"] == "alert rate":
        then, now = details["rates"]
        return name, f"{then:.2%}", f"{now:.2%}"
    if finding["kind"] == "figure":
        return name, *(_interval(details[part]) for part in ("before", "now"))
    if finding["kind"] == "unseen values" and details["values"]:
        values = ", ".join(details["values"])
        return f"new values of {name}: {values}", "", f"{details['share']:.2%}"
    return None


def _interval(figure: Mapping) -> str:
    if figure["value"] is None:
        return ""
    if figure["low"] is None:
        return f"{figure['value']:.3f}"
    return f"{figure['value']:.3f} ({figure['low']:.3f}-{figure['high']:.3f})"


def p_value(value: float | None) -> str:
    """A p-value, as short as it says something."""
    if value is None:
        return ""
    return "< .001" if value < 0.001 else f"{value:.3f}"
