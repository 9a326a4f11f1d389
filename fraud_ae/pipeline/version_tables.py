"""Versions of an experiment's model and the decisions on them, for a terminal of 80 columns."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from fraud_ae.detector.versions import PRODUCTION, Versions
from fraud_ae.evaluation.custom_metrics import PLANTED_AUC
from fraud_ae.experiments.result_tables import figure

METRICS = {
    "average_precision": "average precision",
    "auc": "ROC AUC",
    PLANTED_AUC: "ROC AUC planted",
}
_SHORT = {"average_precision": "AP", "auc": "AUC", PLANTED_AUC: "planted AUC"}


def print_versions(folder: Path, console: Console) -> None:
    """Print the versions in the folder of an experiment; nothing where none is kept."""
    rows = Versions(folder / "models").rows()
    if not rows:
        return
    columns = ("version", "created", "data", "test AP", "decision")
    table = Table(*columns, title="Versions of the model", show_lines=len(rows) > 1)
    table.columns[3].justify = "right"
    for row in rows:
        number = row["version"]
        table.add_row(
            f"[bold]{number}[/bold]\nproduction" if row["in_production"] else number,
            row["created"][:10],
            f"{row['from'][:10]}\n{row['to'][:10]}",
            figure(row["average_precision"]),
            "\n".join(verdict_lines(row)),
        )
    console.print(table)
    link = folder / "models" / PRODUCTION
    current = Versions(link.parent).in_production
    console.print(f"  in production: {link} -> {current}", soft_wrap=True)
    if any((row["decision"] or {}).get("kind") == "retrain" for row in rows):
        console.print("  test AP: each on the test rows of its own data", soft_wrap=True)


def verdict_lines(row: dict) -> list[str]:
    """The decision on a version, a row of `Versions.rows`, in two to four short lines."""
    decision = row["decision"]
    if decision is None:
        return ["not known"]
    lines = _decision_lines(decision)
    by_hand = row["in_production"] and not decision["promoted"]
    return [*lines, "promoted by hand since"] if by_hand else lines


def _decision_lines(decision: dict) -> list[str]:
    if decision["verdict"] == "changed":
        return [f"{decision['champion']} with another threshold"]
    if decision["kind"] == "pipeline":
        return ["the first one" if decision["verdict"] == "first" else "made by a pipeline"]
    promoted, verdict = decision["promoted"], decision["verdict"]
    lines = [f"promoted: {verdict}"] if promoted else ["not promoted:", verdict]
    metric = decision["policy"]["metric"]
    figures = decision["figures"].get(metric)
    if figures is None:
        return [*lines, f"against {decision['champion']}: {decision['reason']}"]
    lines.append(f"{_SHORT[metric]} {figures['difference']:+.4f} against {decision['champion']}")
    return lines if figures["low"] is None else [*lines, _interval(figures, decision)]


def explain(decision: dict, versions: Versions) -> str:
    """The decision of a retraining in a few lines for the screen."""
    current, champion = versions.in_production, decision["champion"]
    lines = [f"retrain: {_headline(decision, current)}"]
    if "rows" in decision:
        lines += [*_rows(decision["rows"]), *_figures(decision), *_policy(decision)]
    else:
        lines.append(f"  {decision['verdict']}: {decision['reason']}")
    if decision["promoted"] and current == decision["version"]:
        name = versions.folder.parent.name
        lines.append(f"  back to {champion}: fraud-ae rollback --experiment {name}")
    lines.append(f"  {versions.decision_file(decision['version'])}")
    return "\n".join(lines)


def _headline(decision: dict, current: str) -> str:
    number, champion = decision["version"], decision["champion"]
    if "rows" not in decision:
        return f"no new version, {current} stays in production"
    if not decision["promoted"] and current == number:
        return f"not promoted, but put into production by hand since: {number}"
    if not decision["promoted"]:
        return f"not promoted, {current} stays in production, {number} is kept"
    if current != number:
        return f"{number} was promoted, and {current} is in production by now"
    return f"promoted, {number} is in production, {champion} was before"


def _rows(rows: dict) -> list[str]:
    what = f"{rows['frauds']:,} frauds"
    if rows["planted"]:
        what = f"{rows['planted']:,} planted"
    lines = [_line("compared on", f"{rows['number']:,} rows, {what}")]
    if rows["number"]:
        lines[0] += f", {rows['from'][:10]} to {rows['to'][:10]}"
    left_out = {
        "that the champion has seen": rows["seen_by_champion"],
        "whose label is not known yet": rows["label_not_known"],
    }
    lines += [_line("", f"without {n:,} {why}") for why, n in left_out.items() if n]
    lines.append(_line("challenger", f"fitted on {rows['challenger_fitted_on']}"))
    return lines


def _figures(decision: dict) -> list[str]:
    if not decision["figures"]:
        return []
    champion, challenger = decision["champion"], decision["version"]
    lines = [_line("", f"{champion:<9} {challenger:<9} difference")]
    for metric, figures in decision["figures"].items():
        text = METRICS[metric]
        scores = f"{figures['champion']:<9.4f} {figures['challenger']:<9.4f}"
        both = f"{scores} {figures['difference']:+.4f}"
        interval = "" if figures["low"] is None else f", {_interval(figures, decision)}"
        lines.append(_line(text, both + interval))
    alerts = decision["alerts"]
    if alerts:
        for name in ("precision", "recall"):
            both = [alerts[model][name] for model in ("champion", "challenger")]
            text = f"{both[0]:<9.4f} {both[1]:<9.4f} {both[1] - both[0]:+.4f}"
            lines.append(_line(name, f"{text}, at {alerts['number']:,} alerts"))
    return lines


def _policy(decision: dict) -> list[str]:
    policy = decision["policy"]
    metric = METRICS[policy["metric"]]
    return [
        _line("verdict", f"{decision['verdict']} in {metric}:"),
        _line("", decision["reason"]),
        _line("promotion.policy", policy["policy"]),
    ]


def _interval(figures: dict, decision: dict) -> str:
    confidence = decision["policy"]["confidence"]
    return f"{confidence:.0%} {figures['low']:+.4f} to {figures['high']:+.4f}"


def _line(name: str, text: str) -> str:
    return f"  {name:<19} {text}"
