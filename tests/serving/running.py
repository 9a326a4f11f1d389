"""`fraud-ae serve` as a real process, and transactions as clients send them."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pandas as pd
import requests

from tests.commands import environment_of, start_warm

KEY = "secret"
# A Python that imports everything itself, with a command line of its own.
COLD = (sys.executable, "-m", "fraud_ae")


class RunningService:
    """A service that listens, asked with `get` and `post`; stopped with `stop`.

    command: what stands before `serve`, by default what runs this package, on one core.
    """

    def __init__(
        self,
        model: Path,
        folder: Path,
        *options: str,
        command: Sequence[str] = (),
        **environment: str,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.store = folder / "history.db"
        self._log = folder / f"log-{len(list(folder.glob('log-*')))}"
        self.key: str | None = None
        serve = ("serve", f"--model={model}", "--port", "0", "--store", str(self.store), *options)
        with self._log.open("w") as log:
            if command:
                self.process = subprocess.Popen(
                    [*command, *serve],
                    cwd=folder,
                    env=environment_of(**environment),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            else:
                self.process = start_warm(
                    "-m", "fraud_ae", *serve, cwd=folder, log=log, **environment
                )
        self._session = requests.Session()
        self.port = self._wait()
        self.url = f"http://127.0.0.1:{self.port}"

    @property
    def printed(self) -> str:
        return self._log.read_text()

    def _wait(self) -> int:
        until = time.monotonic() + 600
        while time.monotonic() < until:
            assert self.process.poll() is None, self.printed
            address = re.search(r"^docs .*:(\d+)/docs$", self.printed, re.MULTILINE)
            # It says where it will listen a moment before it does.
            with suppress(requests.ConnectionError):
                if address and self._session.get(f"http://127.0.0.1:{address[1]}/ready").ok:
                    return int(address[1])
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
        """The value of a line of /metrics, 0 without it."""
        value = re.search(f"^{re.escape(line)} (.*)$", self.get("/metrics").text, re.MULTILINE)
        return float(value[1]) if value else 0.0

    @property
    def stored(self) -> int:
        """Number of transactions in its store."""
        return int(self.metric('fraud_ae_history{kind="transactions"}'))

    @property
    def connections(self) -> int:
        """Number of sockets of its process that are connected over TCP; for Linux."""
        mine = set()
        for file in Path(f"/proc/{self.process.pid}/fd").iterdir():
            with suppress(OSError):
                mine.add(os.readlink(file))
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return sum(f"socket:[{row[9]}]" in mine for row in rows if row[3] != "0A")

    @property
    def memory(self) -> int:
        """Bytes that its process holds; for Linux."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return 1024 * int(re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)[1])

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal that ends it, and return its exit code."""
        self._session.close()
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout=120)


def plain(transactions: pd.DataFrame, prefix: str = "") -> list[dict]:
    """Canonical transactions as a client sends them; numbers to their last digit.

    prefix: of new ids, that number the transactions.
    """
    times = transactions["timestamp"].map(lambda time: time.isoformat())
    rows = transactions.assign(timestamp=times).astype(object)
    if prefix:
        rows["transaction_id"] = [f"{prefix}{number}" for number in range(len(rows))]
    rows = rows.where(rows.notna(), None).to_dict("records")
    return json.loads(json.dumps(rows, default=float))


def link_production(models: Path, name: str) -> None:
    """Make `production` in a folder of models a link to one of them."""
    draft = models / "draft"
    draft.symlink_to(name)
    draft.replace(models / "production")
