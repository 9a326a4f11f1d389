"""`fraud-ae serve` as a real process, and transactions as clients send them."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import requests

from tests.commands import ROOT


class RunningService:
    """A service that listens, asked with `get` and `post`; stopped with `stop`."""

    def __init__(
        self,
        model: Path,
        folder: Path,
        *options: str,
        command: Sequence[str] = (sys.executable, "-m", "fraud_ae"),
        **environment: str,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.store = folder / "history.db"
        self._log = folder / f"log-{len(list(folder.glob('log-*')))}"
        self.key: str | None = None
        command = [*command, "serve", f"--model={model}", "--port", "0"]
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [*command, "--store", str(self.store), *options],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80", **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._session = requests.Session()
        self.port = self._wait()
        self.url = f"http://127.0.0.1:{self.port}"

    @property
    def printed(self) -> str:
        return self._log.read_text()

    def _wait(self) -> int:
        until = time.monotonic() + 120
        while time.monotonic() < until:
            assert self.process.poll() is None, self.printed
            told = [line for line in self.printed.splitlines() if line.startswith("docs ")]
            if told:
                port = int(told[0].rpartition(":")[2].partition("/")[0])
                try:
                    if self._session.get(f"http://127.0.0.1:{port}/ready").status_code == 200:
                        return port
                except requests.ConnectionError:
                    pass  # it says where it will listen a moment before it does
            time.sleep(0.05)
        raise AssertionError(self.printed)

    def get(self, path: str, **options) -> requests.Response:
        return self.ask("GET", path, **options)

    def post(self, path: str, body=None, **options) -> requests.Response:
        return self.ask("POST", path, json=body, **options)

    def ask(self, method: str, path: str, **options) -> requests.Response:
        headers = {} if self.key is None else {"X-API-Key": self.key}
        headers |= options.pop("headers", {})
        return self._session.request(
            method, self.url + path, headers=headers, timeout=120, **options
        )

    def metric(self, line: str) -> float:
        """The value of a line of /metrics, 0 where it is not there."""
        for one in self.get("/metrics").text.splitlines():
            if one.startswith(f"{line} "):
                return float(one.rpartition(" ")[2])
        return 0.0

    def stop(self) -> int:
        """Ask it to end, as an operator would, and return its exit code."""
        self._session.close()
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(timeout=120)

    def kill(self) -> None:
        """SIGKILL."""
        self._session.close()
        self.process.kill()
        self.process.wait(timeout=120)


def plain(transactions: pd.DataFrame) -> list[dict]:
    """Canonical transactions as a client sends them; numbers to their last digit."""
    times = transactions["timestamp"].map(lambda time: time.isoformat())
    rows = transactions.assign(timestamp=times).astype(object)
    rows = rows.where(rows.notna(), None).to_dict("records")
    return json.loads(json.dumps(rows, default=float))
