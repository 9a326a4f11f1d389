"""The service under load: requests a second, their latency, and whether every answer is right.

    python -m benchmarks.service MODEL --rate 300 --seconds 30

starts `fraud-ae serve` with the history before the validation period, sends the transactions of the
validation period one by one, and compares each answer with the score of the whole table at once.
Two loops: closed, as fast as the connections allow, and open, at a fixed rate.

    PGPASSWORD=... python -m benchmarks.service MODEL --processes 3 --store postgresql://USER@HOST/NAME

does the same with several processes that share an empty database, which is empty again afterwards.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd
from yaml import safe_load

from benchmarks.http_load import Asked, ask, question
from benchmarks.measuring import parser, show, write
from fraud_ae.configuration.job import Job
from fraud_ae.detector.detector import FraudDetector
from fraud_ae.detector.model_info import MODEL_INFO

_TOLERANCE = 1e-5


def main() -> None:
    """Measure both loops and print them."""
    options = parser(__doc__ or "", repeats=1)
    options.add_argument("model", type=Path, help="folder of a model for production")
    options.add_argument("--rate", type=float, default=300.0, help="requests a second, open loop")
    options.add_argument("--seconds", type=float, default=30.0, help="of the open loop")
    options.add_argument("--connections", type=int, default=16)
    options.add_argument("--processes", type=int, default=1)
    options.add_argument("--store", help="postgresql://USER@HOST/NAME, by default a file")
    asked = options.parse_args()
    info = safe_load((asked.model / MODEL_INFO).read_text())
    job = Job.of_settings(info["configuration"], {})
    dataset, split = job.dataset, job.split
    until_test = dataset.transactions[split.before_test(dataset.transactions)]
    validation = split.validation(until_test)
    first = int(np.flatnonzero(validation)[0])
    detector = FraudDetector.load(asked.model)
    expected = detector.predict_anomaly_scores(until_test)
    rows = []
    for repeat in range(asked.repeats):
        number = int(asked.rate * asked.seconds)
        for loop, rate in (("open", asked.rate), ("closed", None)):
            part = slice(first, min(first + number, len(until_test)))
            answers, seconds, cpu_seconds = _measure(
                asked, until_test.iloc[:first], until_test.iloc[part], rate
            )
            _check(answers, expected[part])
            figures = {**_figures(answers, seconds), "cpu_seconds": cpu_seconds}
            rows.append({"loop": loop, "round": repeat + 1, **figures})
    show("single requests with history", rows, f"{asked.connections} connections; milliseconds")
    write(asked.json, rows=rows)


def plain(transactions: pd.DataFrame) -> list[dict]:
    """n canonical transactions as a client sends them."""
    times = transactions["timestamp"].dt.strftime("%Y-%m-%dT%H:%M:%S.%f+00:00")
    return json.loads(
        transactions.assign(timestamp=times).to_json(orient="records", double_precision=15)
    )


def _measure(
    options: Namespace, history: pd.DataFrame, asked: pd.DataFrame, rate: float | None
) -> tuple[list[Asked], float, float]:
    """The answers, the seconds that they took, and those of the services' processors."""
    questions = [question(one) for one in plain(asked)]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as running:
        file = Path(folder, "history.parquet")
        history.to_parquet(file, index=False)
        store = options.store or str(Path(folder, "history.db"))
        command = [sys.executable, "-m", "fraud_ae", "serve", f"--model={options.model}"]
        command += ["--port", "0", "--history", str(file), "--store", store]
        if options.store:
            running.callback(_drop, options.store)
        servers = []
        for _ in range(options.processes):
            servers.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            running.callback(_stop, servers[-1])
        ports = [_port(server) for server in servers]
        # What only the first ones take.
        ask("127.0.0.1", ports, questions[:50], connections=options.processes)
        before = _cpu_seconds(servers)
        answers, seconds = ask(
            "127.0.0.1", ports, questions[50:], connections=options.connections, per_second=rate
        )
        return answers, seconds, _cpu_seconds(servers) - before


def _cpu_seconds(servers: list[subprocess.Popen]) -> float:
    """User and system time of processes; for Linux."""
    stats = [Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2] for server in servers]
    return sum(sum(map(int, stat.split()[11:13])) for stat in stats) / os.sysconf("SC_CLK_TCK")


def _stop(server: subprocess.Popen) -> None:
    server.terminate()
    server.wait()


def _drop(store: str) -> None:
    import psycopg

    with psycopg.connect(store, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS fraud_ae CASCADE")


def _port(server: subprocess.Popen) -> int:
    for line in server.stdout or ():
        if line.startswith("docs"):
            time.sleep(0.5)
            return int(line.split(":")[-1].split("/")[0])
    raise SystemExit("the service did not start")


def _check(answers: list[Asked], expected: np.ndarray) -> None:
    bad = [one for one in answers if one.status != 200]
    if bad:
        raise SystemExit(f"{len(bad)} of {len(answers)} not answered, such as {bad[0].answer}")
    found = np.array([one.answer["score"] for one in answers])
    wrong = np.abs(found - expected[-len(found) :]) > _TOLERANCE
    if wrong.any():
        raise SystemExit(f"{wrong.sum()} of {len(found)} scores differ from those of the table")


def _figures(answers: list[Asked], seconds: float) -> dict:
    taken = np.array([one.seconds for one in answers]) * 1000
    p50, p95, p99 = np.percentile(taken, (50, 95, 99))
    rate = len(answers) / seconds
    return {"requests": len(answers), "a_second": rate, "p50": p50, "p95": p95, "p99": p99}


if __name__ == "__main__":
    main()
