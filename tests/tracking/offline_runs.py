"""What W&B keeps of runs, read back by its own command, and environments in which it is nobody."""

import json
import os
import subprocess
import sys
from pathlib import Path

WANDB = Path(sys.executable).with_name("wandb")


def settings_of(home: Path) -> dict[str, str]:
    """An environment in which W&B knows nobody, and writes below `home` alone."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    own = {f"WANDB_{name}_DIR": str(home / name.lower()) for name in ("CACHE", "CONFIG", "DATA")}
    return kept | own | {"HOME": str(home), "NETRC": str(home / "netrc")}


def wandb_files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.wandb"))


def inspected(file: Path, *options: str) -> str:
    command = [WANDB, "leet", "inspect", *options, "--json", file]
    return subprocess.run(
        list(map(str, command)), check=True, capture_output=True, text=True
    ).stdout


class Tracked:
    """What a W&B run kept, read back from its file."""

    def __init__(self, file: Path) -> None:
        self.folder = file.parent
        found = json.loads(inspected(file, "--summary"))
        self.config, self.summary, self.tags = found["config"], found["summary"], found["tags"]
        self.project, self.state = found["project"], found["state"]
        records = [json.loads(line) for line in inspected(file).splitlines()]
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
