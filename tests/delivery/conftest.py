"""A small pipeline whose metrics are in a file, and a service that hears what is posted."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.commands.conftest import CommandLine, cli, history

__all__ = ["cli", "history"]

PIPELINE = """
[stages.fit]
cmd = "sh fit.sh"
deps = ["fit.sh", "rows.csv"]
outs = ["model"]
metrics = ["metrics.json"]
params = ["rate"]
"""
FIT = """
rate=$(sed -n 's/rate = //p' params.toml)
echo "$rate $(cat rows.csv)" > model
echo "{\\"acc\\": $rate, \\"val\\": {\\"loss\\": 0.5}}" > metrics.json
"""


@pytest.fixture
def project(history) -> CommandLine:
    """On `main` the accuracy is 0.8; on `better`, which is checked out, 0.9 with more data."""
    files = {"rows.csv": "1\n2\n", "params.toml": "rate = 0.8\n", "dsvc.toml": PIPELINE, "fit.sh": FIT}
    history.write(files)
    line = history.cli
    line.ok("repro", "-q")
    history.commit("first")
    line.ok("switch", "-q", "-c", "better")
    history.write({"rows.csv": "1\n2\n3\n", "params.toml": "rate = 0.9\n"})
    line.environment["DSVC_DATE"] = "2026-01-31T15:00:00+01:00"
    line.ok("repro", "-q")
    line.ok("commit", "-qm", "more rows")
    return line


class Listener:
    """Answers each request with the next of `statuses`, then with 200, and keeps what was posted."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.posts: list[tuple[str, dict[str, str], Any]] = []
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                listener.posts.append((self.path, dict(self.headers), json.loads(body)))
                self.send_response(listener.statuses.pop(0) if listener.statuses else 200)
                self.end_headers()
                self.wfile.write(b"no_such_channel")

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    found = Listener()
    yield found
    found.close()
