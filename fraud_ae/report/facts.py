"""Facts about the transactions, the audit, the alerts with reasons, and how to make it again."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import yaml

from fraud_ae.configuration.command_line import ONCE, override_key
from fraud_ae.experiments.run_store import TOP_TRANSACTIONS
from fraud_ae.report.results import ExperimentResults
from fraud_ae.runtime.kept_files import read_kept


def data_facts(results: ExperimentResults) -> dict | None:
    """Rows, frauds, period and split; the test part, with its labels, once there is a model."""
    data, info = results.data, results.info["data"] if results.info else None
    if data is None and info is None:
        return None
    if info is not None and (data is None or data["fingerprint"] != info["fingerprint"]):
        # Of other transactions than those of the model, the model's are what the report is about.
        source = results.configuration["data"]
        delay = source["split"]["label_delay_days"]
        data = {**info, "name": source["name"], "label_delay_days": delay, "before_test": None}
    split = {**data["split"], **(info["split"] if info else {})}
    return {**data, "split": split, "timeline": _timeline(split, data["from"], data["to"])}


def _timeline(split: dict[str, dict], start: str, end: str) -> list[dict]:
    """The parts in order of time, with what lies between them, each with its share of the time."""
    parts = sorted(
        (pd.Timestamp(part["start"]), pd.Timestamp(part["end"]), name)
        for name, part in split.items()
    )
    pieces, reached = [], pd.Timestamp(start)
    for part_start, part_end, name in parts:
        if part_start > reached:
            pieces.append(("label delay" if pieces else "before", part_start - reached))
        pieces.append((name, part_end - part_start))
        reached = part_end
    if pd.Timestamp(end) > reached:
        # Before there is a model, the test period has not been looked at.
        name = "after" if "test" in split else "label delay and test"
        pieces.append((name, pd.Timestamp(end) - reached))
    days = [length / pd.Timedelta(days=1) for _, length in pieces]
    return [
        {"name": name, "days": length, "share": length / sum(days)}
        for (name, _), length in zip(pieces, days, strict=True)
    ]


def audit(results: ExperimentResults) -> dict | None:
    """The audit of the winning strategy, None where none was made of these transactions."""
    audited = results.audits.get(results.strategy or "")
    if audited is None:
        return None
    current = results.info["data"] if results.info else results.data
    if current is not None and current["fingerprint"] != audited["fingerprint"]:
        return None
    return {"strategy": results.strategy, **audited}


def top_transactions(results: ExperimentResults) -> list[dict] | None:
    """The highest scores with their reasons, None where they have not been written."""
    if results.best_run is None or results.threshold is None:
        return None
    rows = read_kept(results.best_run / TOP_TRANSACTIONS, _rows)
    if rows is None:
        return None
    return [{**row, "alert": row["score"] > results.threshold} for row in rows]


def _rows(path: Path) -> list[dict]:
    return json.loads(path.read_text())


def provenance(results: ExperimentResults) -> dict:
    """The resolved configuration as YAML, versions, and the commands of the pipeline.

    `overrides`: what any further command about this experiment has to say. `benchmark`: the command
    that compares the detectors with the usual ones on these transactions; None of a pipeline that
    is not known.
    """
    commands = results.data["commands"] if results.data else []
    # Without what the last command asked for that once alone.
    lasting = [o for o in commands[-1] if override_key(o) not in ONCE] if commands else []
    return {
        "configuration": yaml.safe_dump(results.configuration, sort_keys=False, allow_unicode=True)
        if results.configuration
        else None,
        "versions": results.info["versions"] if results.info else {},
        "overrides": lasting if commands else [f"experiment={results.folder.name}"],
        "commands": [shlex.join(["python", "pipeline.py", *overrides]) for overrides in commands],
        "benchmark": _benchmark(lasting) if commands else None,
    }


def _benchmark(overrides: Sequence[str]) -> str:
    """The command of `benchmarks.detection` for the data and features of a pipeline."""
    words = ["python", "-m", "benchmarks.detection", "--known", "20,all"]
    values = dict(o.partition("=")[::2] for o in overrides)
    if "--config-dir" in values:
        words += ["--config", values["--config-dir"]]
    # At the end, as everything that follows it is a setting of the data.
    words += ["--data", values.get("data", "synthetic")]
    of_data = ("data", "features", "encoder")
    settings = [o for o in overrides if override_key(o).partition(".")[0] in of_data]
    return shlex.join([*words, *(o for o in settings if not o.startswith("data="))])
