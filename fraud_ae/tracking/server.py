"""The W&B server as the processes of one command know it: whether to try it, and for how long."""

import atexit
import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from filelock import FileLock

from fraud_ae.runtime.atomic_files import write_whole

log = logging.getLogger("fraud_ae")
# W&B's service tells its maker how it fares, of offline runs too, and waits ten seconds at the end
# for a server that is silent. Whoever wants that sets it.
os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
T = TypeVar("T")

LATER = "wandb sync outputs/*/*/*/wandb/offline-run-*"
# What a run may wait at its beginning and at its end is not counted: a good server takes less.
_USUAL_SECONDS = 2.0
_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Server:
    """Whether runs are sent to the server, which all processes of a command decide together.

    wait_seconds: most that they wait in all for a server that is slow or does not answer; then they
    go on offline. notes: path, without suffix, of the files in which they tell one another.
    """

    wait_seconds: float
    notes: Path

    @classmethod
    def of(cls, folder: Path, wait_seconds: float) -> "Server":
        """The server of this command, which tries it while it goes on. folder: for the notes."""
        server = cls(wait_seconds, folder / f"wandb-{os.getpid()}")
        folder.mkdir(parents=True, exist_ok=True)
        # An earlier process may have had the same number.
        for path in folder.glob(f"{server.notes.name}.*"):
            path.unlink(missing_ok=True)
        threading.Thread(target=server._follow, daemon=True).start()
        atexit.register(server._say)
        return server

    def _follow(self) -> None:
        """Whoever gives up, the command says so: what its workers print is lost in a live view."""
        self.answers()
        while not self.given_up:
            time.sleep(_POLL_SECONDS)
        self._say()

    def _say(self) -> None:
        if self.given_up:
            with contextlib.suppress(FileExistsError):
                self._note("said").touch(exist_ok=False)
                log.warning(
                    "W&B cannot be reached (%s); this and all further runs are kept offline.\n"
                    "  Later: %s",
                    self._note("offline").read_text(),
                    LATER,
                )

    def answers(self) -> bool:
        """Whether to go on with the server; the first process that asks tries it."""
        with FileLock(self._note("lock")):
            if not self._note("tried").exists() and not self.given_up:
                with self.waiting():
                    problem = problem_of_server(self.wait_seconds)
                if problem:
                    self.give_up(problem)
                self._note("tried").touch()
        return not self.given_up

    @property
    def given_up(self) -> bool:
        """Whether all further runs are kept offline."""
        return self._note("offline").exists()

    @property
    def seconds_left(self) -> float:
        """How long the next call may wait."""
        try:
            spent = sum(map(float, self._note("waited").read_text().split()))
        except FileNotFoundError:
            spent = 0.0
        return max(self.wait_seconds - spent, 0.0)

    @contextlib.contextmanager
    def waiting(self) -> Iterator[float]:
        """What is done in here waits for the server, for so many seconds at most."""
        started, left = time.monotonic(), self.seconds_left
        try:
            yield left
        finally:
            beyond = time.monotonic() - started - _USUAL_SECONDS
            if beyond > 0:
                with self._note("waited").open("a") as file:
                    file.write(f"{beyond:.3f}\n")
        if beyond > left:
            self.give_up(f"it was waited for {self.wait_seconds:g} s, wandb.wait_seconds")

    def give_up(self, reason: str) -> None:
        """From now on all processes of the command are offline."""
        if not self.given_up:
            write_whole(self._note("offline"), reason.strip().partition("\n")[0])

    def _note(self, suffix: str) -> Path:
        return self.notes.with_name(f"{self.notes.name}.{suffix}")


def problem_of_server(seconds: float) -> str | None:
    """What is wrong with the W&B server, or None if it answers within so many seconds.

    Asks for nothing on the terminal. It is not asked through W&B's own client, whose service would
    keep this process from ending for as long as its own requests hang.
    """
    import requests
    import wandb

    wandb.setup(wandb.Settings(silent=True))
    try:
        # Only whether there is a key: to verify it would wait without a bound.
        if not wandb.login(prompt=False, verify=False):
            return "no API key: run `wandb login`"
    except wandb.errors.AuthenticationError as error:
        return str(error)
    settings = wandb.setup().settings

    def ask() -> str | None:
        answer = requests.post(
            f"{settings.base_url}/graphql",
            json={"query": "query Viewer { viewer { id } }"},
            auth=("api", settings.api_key),
            timeout=seconds,
        )
        return None if answer.ok else f"{answer.status_code} {answer.reason}"

    try:
        return within(seconds, ask)
    except TimeoutError:
        return f"{settings.base_url} does not answer within {seconds:g} s"
    except requests.RequestException as error:
        return _short(error)


def ask_server(seconds: float, call: Callable[[], T]) -> T:
    """What a call of W&B's client returns, within so many seconds.

    Raises ConnectionError with the reason in one line if the server cannot be reached, or the call
    fails or takes too long.
    """
    started = time.monotonic()
    if problem := problem_of_server(seconds):
        raise ConnectionError(problem)
    try:
        return within(max(seconds - (time.monotonic() - started), 0.1), call)
    except TimeoutError as error:
        raise ConnectionError(f"it does not answer within {seconds:g} s") from error
    except Exception as error:  # the client may fail in any way
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ConnectionError(reason) from error


def within(seconds: float, call: Callable[[], T]) -> T:
    """What a call returns or raises. Raises TimeoutError if it has not ended after so many seconds.

    A server that sends a byte now and then is in time for every other timeout. The call goes on in
    its thread, which keeps nobody from ending.
    """
    result: Future[T] = Future()

    def run() -> None:
        try:
            result.set_result(call())
        except BaseException as error:
            result.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return result.result(timeout=seconds)


def _short(error: Exception) -> str:
    """The innermost cause, which says more than the layers around it."""
    cause: BaseException = error
    while inner := cause.__cause__ or cause.__context__:
        cause = inner
    text = str(cause) or str(error)
    return text.removeprefix("[Errno").partition("] ")[2] or text
