"""What W&B kept of runs, read back by its own program, and environments in which it is nobody."""

import json
import os
import subprocess
import sys
from pathlib import Path

from wandb.util import get_core_path

WANDB = Path(sys.executable).with_name("wandb")


def settings_of(home: Path) -> dict[str, str]:
    """An environment in which W&B knows nobody, and writes below `home` alone."""
    others = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    folders = {f"WANDB_{n}_DIR": str(home / n.lower()) for n in ("CACHE", "CONFIG", "DATA")}
    return others | folders | {"HOME": str(home), "NETRC": str(home / "netrc")}


def wandb_files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.wandb"))


def _inspected(file: Path, *options: str) -> str:
    """What `wandb leet inspect` prints, without the second that the command takes to start."""
    command = [get_core_path(), "leet", "inspect", "--no-observability", *options, "--json"]
    command += ["--run-file", file, file.parent]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Tracked:
    """What a W&B run kept, read back from its file."""

    def __init__(self, file: Path) -> None:
        self.folder = file.parent
        found = json.loads(_inspected(file, "--summary"))
        self.config, self.summary, self.tags = found["config"], found["summary"], found["tags"]
        self.project, self.state = found["project"], found["state"]
        self.exit_code = found["exit_code"]
        records = [json.loads(line) for line in _inspected(file).splitlines()]
        self.run = next(r["run"] for r in records if r["type"] == "run")
        self._items = [r["history"]["item"] for r in records if r["type"] == "history"]
        self.artifacts = [r["artifact"] for r in records if r["type"] == "artifact"]
        self.curve = {
            name: [item[name] for item in self._items if name in item]
            for name in ("train_loss", "val_loss", "learning_rate", "epoch")
        }

    def last(self, name: str) -> dict:
        """The parts of what was logged last under this name, such as a histogram."""
        found = {}
        for item in self._items:
            found |= {k.removeprefix(f"{name}."): v for k, v in item.items() if k.startswith(name)}
        return found
