"""What an experiment's transactions are, and the commands that it was made with."""

import json
from pathlib import Path

from fraud_ae.configuration.job import Job
from fraud_ae.runtime.atomic_files import write_json

DATA = "data.json"


def write_data_facts(job: Job, overrides: list[str]) -> dict:
    """Write `data.json` of an experiment, and return it: facts without labels of the test period.

    overrides: of the command line of this pipeline; each different one is kept,
    in the order in which they were first used on these transactions. Raises StorageError if
    the file cannot be written.
    """
    dataset, split = job.dataset, job.split
    transactions = dataset.transactions
    visible = job.before_test
    frauds = int((visible["is_fraud"] == 1).sum()) if "is_fraud" in visible else None
    path = job.folder / DATA
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
        "commands": _commands(path, dataset.fingerprint, overrides),
    }
    write_json(path, facts)
    return facts


def read_data_facts(folder: Path) -> dict | None:
    """What `write_data_facts` wrote into the folder of an experiment, None where it did not."""
    path = folder / DATA
    return json.loads(path.read_text()) if path.is_file() else None


def _commands(path: Path, fingerprint: str, overrides: list[str]) -> list[list[str]]:
    earlier = read_data_facts(path.parent)
    commands = earlier["commands"] if earlier and earlier["fingerprint"] == fingerprint else []
    return commands if overrides in commands else [*commands, overrides]
