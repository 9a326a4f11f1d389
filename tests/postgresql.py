"""A real PostgreSQL on this machine, of Debian's package or wherever `initdb` is."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import pytest

# Whoever has its own, for whom the server's may not run: initdb refuses root.
_UNPRIVILEGED = "postgres"
_SECONDS_TO_START = 60


def programs() -> Path | None:
    """The folder of `initdb` and `postgres`, None where there is none."""
    packaged = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
    on_path = shutil.which("initdb")
    return packaged or (Path(on_path).resolve().parent if on_path else None)


needs_postgresql = pytest.mark.skipif(
    programs() is None or sys.platform != "linux", reason="PostgreSQL is not installed"
)


class PostgreSQL:
    """A server with an empty cluster in a temporary folder, on a free port of 127.0.0.1.

    environment: by which a command is let in. Ends with all its data where it is left.
    """

    user, password = "shop", "postgres-secret-of-the-tests"

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="postgresql"))
        self.environment = {"PGPASSWORD": self.password}
        password = self._folder / "password"
        password.write_text(self.password)
        self._as = {}
        if os.geteuid() == 0:
            self._as = {"user": _UNPRIVILEGED, "group": _UNPRIVILEGED, "extra_groups": []}
            for path in (self._folder, password):
                shutil.chown(path, _UNPRIVILEGED, _UNPRIVILEGED)
        self._run(
            "initdb", "-D", "data", "-U", self.user, "--pwfile=password", "-A", "scram-sha-256"
        )
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.start()

    def __enter__(self) -> "PostgreSQL":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._folder)

    def start(self) -> None:
        """Start the server, again after `stop` with what it has written."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self._folder,
            "fsync": "off",
            "full_page_writes": "off",
        }
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        self._log = (self._folder / "log").open("a")
        self._server = subprocess.Popen(
            [str(programs() / "postgres"), "-D", "data", *options],
            cwd=self._folder,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            **self._as,
        )
        import psycopg

        end = time.monotonic() + _SECONDS_TO_START
        while True:
            try:
                self.query("SELECT 1")
                return
            except psycopg.OperationalError as error:
                if self._server.poll() is not None or time.monotonic() > end:
                    raise RuntimeError((self._folder / "log").read_text()) from error
                time.sleep(0.1)

    def stop(self) -> None:
        """End the server at once, and every connection."""
        self._server.send_signal(signal.SIGQUIT)
        self._server.wait(_SECONDS_TO_START)
        self._log.close()

    def database(self, name: str) -> str:
        """The address of a new database."""
        self.query(f'CREATE DATABASE "{name}"')
        return f"postgresql://{self.user}@127.0.0.1:{self.port}/{name}"

    def query(self, statement: str, database: str = "postgres") -> list[tuple]:
        """The rows that a statement gives, if any."""
        import psycopg

        where = {"host": "127.0.0.1", "port": self.port, "user": self.user, "dbname": database}
        with psycopg.connect(**where, password=self.password, autocommit=True) as connection:
            rows = connection.execute(statement)
            return rows.fetchall() if rows.description else []

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(programs() / program), *arguments]
        done = subprocess.run(command, cwd=self._folder, capture_output=True, text=True, **self._as)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
