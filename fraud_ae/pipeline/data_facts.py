"""What an experiment's transactions are, and the commands that it was made with."""

import shlex
from pathlib import Path

from fraud_ae.configuration.job import Job
from fraud_ae.runtime.kept_files import parse_json, read_kept, write_kept_json

DATA = "data.json"


def write_data_facts(job: Job, overrides: list[str]) -> dict:
    """Write `data.json` of an experiment, and return it: facts without labels of the test period.

    What differs from the last pipeline of the experiment is printed: results may be replaced.
    overrides: of the command line of this pipeline; each different one is kept,
    in the order in which they were first used on these transactions. Raises StorageError if
    the file cannot be written.
    """
    dataset, split = job.dataset, job.split
    transactions = dataset.transactions
    visible = job.before_test
    frauds = int((visible["is_fraud"] == 1).sum()) if "is_fraud" in visible else None
    path = job.folder / DATA
    earlier = read_data_facts(job.folder)
    facts = {
        "name": job.source.name,
        "fingerprint": dataset.fingerprint,
        "rows": len(transactions),
        "from": transactions["timestamp"].iloc[0].isoformat(),
        "to": transactions["timestamp"].iloc[-1].isoformat(),
        "before_test": {
            "rows": len(visible),
            "frauds": frauds,
            "fraud_ratio": None if frauds is None else frauds / len(visible),
        },
        "label_delay_days": split.label_delay_days,
        # The labels of the test rows are read by the production stage alone.
        "split": split.describe(visible, ("train", "validation")),
        "last": overrides,
        "commands": _commands(earlier, dataset.fingerprint, overrides),
    }
    if earlier is not None:
        print("".join(f"{line}\n" for line in _differences(earlier, facts)), end="", flush=True)
    write_kept_json(path, facts)
    return facts


def read_data_facts(folder: Path) -> dict | None:
    """What `write_data_facts` wrote into the folder of an experiment, None where it did not."""
    return read_kept(folder / DATA, parse_json)


def _differences(earlier: dict, facts: dict) -> list[str]:
    """What is not as the last pipeline of the experiment had it, a line each; none if all is."""
    lines = []
    if earlier["fingerprint"] != facts["fingerprint"]:
        before, now = (_described(each) for each in (earlier, facts))
        if before == now:
            now += ", with other values"
        lines.append(f"  transactions: {now}; before: {before}")
    before, now = earlier.get("last"), facts["last"]
    if before is not None and set(before) != set(now):
        for when, own, other in (
            ("now, not before", now, before),
            ("before, not now", before, now),
        ):
            if only := [override for override in own if override not in other]:
                lines.append(f"  {when}: {shlex.join(only)}")
    if lines:
        lines.insert(
            0, "this experiment was run before, and not the same (experiment=NAME: another)"
        )
    return lines


def _described(facts: dict) -> str:
    return f"{facts['name']}, {facts['rows']:,} from {facts['from'][:10]} to {facts['to'][:10]}"


def _commands(earlier: dict | None, fingerprint: str, overrides: list[str]) -> list[list[str]]:
    commands = earlier["commands"] if earlier and earlier["fingerprint"] == fingerprint else []
    return commands if overrides in commands else [*commands, overrides]
