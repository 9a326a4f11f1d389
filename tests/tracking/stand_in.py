"""A small stand-in for a W&B server on loopback, and servers that are no use."""

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = "0123456789" * 4
# Operation -> its answer, where that is always the same.
ANSWERS = {
    "Viewer": {"viewer": {"id": "u", "entity": "me", "username": "me", "flags": "{}"}},
    "GetDefaultEntity": {"viewer": {"id": "u", "entity": "me"}},
    "CreateAgent": {"createAgent": {"agent": {"id": "agent"}}},
    "UseArtifact": {"useArtifact": {"artifact": {"id": "a"}}},
    "ArtifactType": {"project": {"artifact": None}},
}


class StandIn:
    """Answers what W&B's own client asks when it tracks and reads runs, and keeps what it is sent.

    runs: name -> the variables of each run that was logged, merged. history: run -> lines of
    history. summaries: run -> its figures. artifacts: variables of each artifact. shared: runs of
    others, see `run_of_others`. views: saved workspaces. sweeps: those that were made. commands:
    what agents are to run. asked: names of the operations, in order. paths: all that were asked.
    slowness: seconds before each answer. failing: operations that are answered with an error.
    """

    def __init__(self) -> None:
        self.runs: dict[str, dict] = {}
        self.history: dict[str, list[dict]] = {}
        self.summaries: dict[str, dict] = {}
        self.artifacts: list[dict] = []
        self.asked: list[str] = []
        self.paths: list[str] = []
        self.shared: list[dict] = []
        self.views: list[dict] = []
        self.sweeps: list[dict] = []
        self.commands: list[dict] = []
        self.slowness = 0.0
        self.failing: set[str] = set()
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments: object) -> None:
                """Tests print what they need."""

            def do_POST(self) -> None:
                self._reply(stand_in.answer(self.path, self._body()))

            def do_PUT(self) -> None:
                self._body()
                self._reply({})

            def do_GET(self) -> None:
                self._reply({})

            def _body(self) -> bytes:
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))

            def _reply(self, content: dict) -> None:
                time.sleep(stand_in.slowness)
                body = json.dumps(content).encode()
                self.send_response(500 if "errors" in content else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: object, client_address: object) -> None:
                """A client that hangs up is no error of the server's."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, path: str, body: bytes) -> dict:
        self.paths.append(path)
        if "/file_stream" in path:
            return self._stream(path, json.loads(body))
        if path != "/graphql":
            return {}
        request = json.loads(body)
        found = re.search(r"(?:query|mutation)\s+(\w+)", request["query"])
        name, variables = found.group(1) if found else "", request.get("variables") or {}
        self.asked.append(name)
        if name in self.failing:
            return {"errors": [{"message": f"{name} fails"}]}
        answering = getattr(self, f"_{name}", None)
        return {"data": answering(variables) if answering else ANSWERS.get(name, {})}

    def _stream(self, path: str, sent: dict) -> dict:
        name, files = path.split("/")[-2], sent.get("files", {})
        lines = files.get("wandb-history.jsonl", {}).get("content", [])
        self.history.setdefault(name, []).extend(map(json.loads, lines))
        for line in files.get("wandb-summary.json", {}).get("content", []):
            self.summaries[name] = json.loads(line)
        return {"exitcode": None, "limits": {}}

    def _Runs(self, variables: dict) -> dict:
        wanted = json.loads(variables["filters"] or "{}")
        found = [run for run in self.shared if _matches(run, wanted)]
        edges = [{"node": run, "cursor": str(n)} for n, run in enumerate(found)]
        project = {
            "internalId": "1",
            "runCount": len(found),
            "readOnly": False,
            "runs": {"edges": edges, "pageInfo": {"endCursor": None, "hasNextPage": False}},
        }
        return {"project": project}

    def _UpsertSweep(self, variables: dict) -> dict:
        self.sweeps.append(variables)
        project = {"id": "p", "name": variables["projectName"], "entity": {"id": "e", "name": "me"}}
        sweep = {"id": "s", "name": "sweep1", "project": project}
        return {"upsertSweep": {"sweep": sweep, "configValidationWarnings": []}}

    def _SweepWithRuns(self, variables: dict) -> dict:
        sweep = {"id": "s", "config": self.sweeps[-1]["config"], "runs": {"edges": []}}
        return {"project": {"sweep": sweep}}

    def _Heartbeat(self, variables: dict) -> dict:
        """One combination after another, each when the one before has ended."""
        running = any(json.loads(variables["runState"]).values())
        next_ones = [] if running else [self.commands.pop(0) if self.commands else {"type": "exit"}]
        return {"agentHeartbeat": {"agent": {"id": "agent"}, "commands": json.dumps(next_ones)}}

    def _UpsertView2(self, variables: dict) -> dict:
        self.views.append(variables)
        view = {"id": "v", "name": variables["name"]}
        return {"upsertView": {"view": view, "inserted": True}}

    def _UpsertBucket(self, variables: dict) -> dict:
        known = self.runs.setdefault(variables["name"], {})
        known |= {k: v for k, v in variables.items() if v is not None}
        bucket = {
            "id": variables["name"],
            "name": variables["name"],
            "displayName": known.get("displayName"),
            "description": None,
            "config": known.get("config"),
            "sweepName": None,
            "project": {
                "id": "p",
                "name": known["project"],
                "entity": {"id": "e", "name": known.get("entity", "me")},
            },
            "historyLineCount": 0,
        }
        return {"upsertBucket": {"bucket": bucket, "inserted": True}}

    def _CreateRunFiles(self, variables: dict) -> dict:
        files = [{"name": f, "uploadUrl": f"{self.url}/upload/{f}"} for f in variables["files"]]
        return {"createRunFiles": {"runID": "r", "uploadHeaders": [], "files": files}}

    def _CreateArtifact(self, variables: dict) -> dict:
        self.artifacts.append(variables["input"])
        # Committed: the content is there already, and need not be uploaded.
        artifact = {"id": "a", "state": "COMMITTED", "artifactSequence": {"latestArtifact": None}}
        return {"createArtifact": {"artifact": artifact}}

    @contextmanager
    def running(self) -> Iterator["StandIn"]:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        try:
            yield self
        finally:
            self.server.shutdown()
            self.server.server_close()


def run_of_others(name: str, config: dict, summary: dict, **node: object) -> dict:
    """A run as the server gives it to who reads the project. config: plain, nested."""
    return {
        "id": f"id-{name}",
        "name": f"w-{name}",
        "displayName": name,
        "projectId": "1",
        "state": "finished",
        "group": "small",
        "jobType": "features",
        "tags": [],
        "createdAt": "2026-11-20T10:00:00Z",
        "heartbeatAt": "2026-11-20T10:01:00Z",
        "config": json.dumps({key: {"value": value} for key, value in config.items()}),
        "summaryMetrics": json.dumps(summary),
        "user": {"name": "Ana", "username": "ana"},
        **dict.fromkeys(("sweepName", "commit", "description", "notes", "systemMetrics")),
        "readOnly": False,
        "historyLineCount": 1,
        "historyKeys": None,
        **node,
    }


def _matches(run: dict, wanted: dict) -> bool:
    for name, value in wanted.items():
        values = value["$in"] if isinstance(value, dict) else [value]
        if run.get(name) not in values:
            return False
    return True


@contextmanager
def silent_server() -> Iterator[str]:
    """The address of a socket that takes connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        # The system takes connections for it, and nobody ever accepts them.
        listening.listen(64)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@contextmanager
def dead_server() -> Iterator[str]:
    """The address of a port on which nobody listens."""
    with socket.socket() as bound:
        # Bound and not listening: nobody else can take the port meanwhile.
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
