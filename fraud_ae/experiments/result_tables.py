"""Results on the screen: by group, and of the model for production, validation beside test."""

from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from fraud_ae.detector.model_info import is_challenger
from fraud_ae.detector.versions import Versions
from fraud_ae.runtime.kept_files import parse_yaml, read_kept

# Name in the figures, name on the screen.
_SHOWN = {
    "planted_auc": "ROC AUC of planted",
    "final_auc": "ROC AUC",
    "average_precision": "average precision",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "recall_at_1pct_fpr": "recall at 1 % FPR",
    "value_caught": "fraud value caught",
}


def print_model(folder: Path, console: Console) -> None:
    """Print what `model_info.yaml` in the folder of an experiment says."""
    info = read_kept(folder / "model_info.yaml", parse_yaml)
    if info is None:
        console.print("no production model yet")
        return
    deployed = info["figures"]["deployed"]
    model = folder / "models" / "final_model"
    console.print(f"{_role(info, model)} of {info['created'][:16]}: {model}")
    console.print(_validation_and_test(info["figures"]["winner"]))
    winner = info["figures"]["winner"]
    if "reason" in winner:
        came_from = f"{winner['candidate']}: " if winner["candidate"] else ""
        console.print(Padding(f"winner    {came_from}{winner['reason']}", (0, 0, 0, 2)))
    console.print(
        f"  deployed  fitted on {deployed['fitted_on']}, threshold {deployed['threshold']:.4f}"
    )
    if "test" in deployed:
        console.print(
            f"            alerts on {deployed['test']['alert_rate']:.2%} of the test rows, "
            f"{_asked(deployed['threshold_policy'])}"
        )
    console.print(Padding(f"labels    {_label_use(info['labels'])}", (0, 0, 0, 2)))
    configuration = info["configuration"]
    parameters = {
        "scorer": info["labels"]["scorer"],
        **{k: v for k, v in configuration["model"].items() if k != "_target_"},
        **{k: configuration["trainer"][k] for k in ("learning_rate", "batch_size")},
    }
    listed = ", ".join(f"{name}={value}" for name, value in parameters.items())
    console.print(Padding(listed, (0, 0, 0, 2)))


def _role(info: dict, model: Path) -> str:
    if is_challenger(info):
        return "challenger"
    is_deployed = Versions(model.parent).is_for_production(model)
    return "production model" if is_deployed else "model, not in production,"


def _validation_and_test(winner: dict) -> Table:
    """The winner's figures side by side; the optimism is how much better validation looked."""
    table = Table("fitted on train", "validation", "test", "optimism")
    for column in table.columns[1:]:
        column.justify = "right"
    validation = winner["validation"]
    test = {name.replace("test_auc", "final_auc"): v for name, v in winner["test"].items()}
    for name, listed in _SHOWN.items():
        if name not in validation or name not in test:
            continue
        both = (validation[name], test[name])
        if both == (None, None):
            continue
        optimism = "" if None in both else f"{both[0] - both[1]:+.4f}"
        table.add_row(
            listed, *(_with_interval(part, name) for part in (validation, test)), optimism
        )
    return table


def _with_interval(figures: dict, name: str) -> str:
    low, high = figures.get(f"{name}_low"), figures.get(f"{name}_high")
    value = figure(figures[name])
    return value if low is None else f"{value} ({interval(low, high)})"


def interval(low: float | None, high: float | None) -> str:
    """An interval of 3 digits, nothing where there is none."""
    return "" if low is None or high is None else f"{_short(low)}-{_short(high)}"


def _short(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")


def _asked(policy: dict) -> str:
    if policy["method"] == "percentile":
        asked = 1 - policy["percentile"] / 100
        return f"{asked:.2%} asked (percentile={policy['percentile']:g})"
    return f"threshold.method={policy['method']}"


def _label_use(labels: dict) -> str:
    if labels.get("none_known"):
        return "none: these transactions have none, and scores are reconstruction errors"
    if labels["unsupervised"]:
        return "none: unsupervised"
    used = []
    if labels["train_on"] == "normal":
        used.append("known frauds left out of training")
    if labels["features_from_labels"]:
        used.append(f"{len(labels['features_from_labels'])} features made of delayed labels")
    if labels["scorer_uses_labels"]:
        used.append("the score learned from known frauds")
    if labels["scorer_fallback"]:
        used.append(labels["scorer_fallback"])
    return "; ".join(used)


def print_groups(groups: pd.DataFrame, console: Console) -> None:
    """Print the results by group that `Run.groups` gives."""
    table = Table("group", "rows", "frauds", "ROC AUC", "AP", "prec", "recall", "value")
    for column in table.columns[1:]:
        column.justify = "right"
    listed = ("auc", "average_precision", "precision", "recall", "value_caught")
    for _, rows in groups.groupby("by", sort=False):
        for row in rows.to_dict("records"):
            cells = ["" if pd.isna(row[name]) else f"{row[name]:.3f}" for name in listed]
            table.add_row(row["group"], f"{row['rows']:,}", f"{row['frauds']:,}", *cells)
        table.add_section()
    console.print(table)


def print_planted(by_kind: pd.DataFrame, console: Console) -> None:
    """Print what `planted_by_kind` gives."""
    table = Table("planted in copies of validation rows", "copies", "ROC AUC", "alerted")
    for column in table.columns[1:]:
        column.justify = "right"
    for row in by_kind.to_dict("records"):
        table.add_row(
            row["kind"], f"{row['copies']:,}", f"{row['auc']:.3f}", f"{row['alerted']:.1%}"
        )
    console.print(table)


def figure(value: float | None) -> str:
    """A figure of 4 digits, and a dash where it is undefined."""
    return "-" if value is None or pd.isna(value) else f"{value:.4f}"
