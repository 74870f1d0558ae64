"""A real web server for tests, on 127.0.0.1 only: ETags, ranges, and what goes wrong with both."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


class Web:
    """Serves `files` by path. Attributes say how; `requests` are (method, path, Range) in their order."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.reset()
        web = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                web._answer(self, body=True)

            def do_HEAD(self) -> None:
                web._answer(self, body=False)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def reset(self) -> None:
        """Serve nothing, and everything right."""
        self.files.clear()
        self.requests: list[tuple[str, str, str | None]] = []
        self.etags = self.modified = self.ranges = self.lengths = self.head = True
        self.etag_of: Callable[[bytes], str] = lambda data: hashlib.sha256(data).hexdigest()[:16]
        self.password: str | None = None
        self.break_after: list[int] = []  # bytes after which the next answers break off
        self.change_after: tuple[str, bytes] | None = None  # once an answer broke off
        self.redirects: dict[str, str] = {}
        self.stall_after: int | None = None  # bytes after which an answer waits for `go_on`
        self.stalled, self.go_on = threading.Event(), threading.Event()
        self.busy = 0  # so many answers are 503

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, request: BaseHTTPRequestHandler, *, body: bool) -> None:
        wanted = request.headers.get("Range")
        self.requests.append((request.command, request.path, wanted))
        if self.busy:
            self.busy -= 1
            self._say(request, 503)
            return
        if request.path in self.redirects:
            request.send_response(302)
            request.send_header("Location", self.redirects[request.path])
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        if self.password is not None and request.headers.get("Authorization") != self.password:
            self._say(request, 401)
            return
        if not body and not self.head:
            self._say(request, 405)
            return
        data = self.files.get(request.path)
        if data is None:
            self._say(request, 404)
            return
        start = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted and self.ranges else 0
        request.send_response(206 if start else 200)
        if self.etags:
            request.send_header("ETag", f'"{self.etag_of(data)}"')
        if self.modified:
            request.send_header("Last-Modified", "Sat, 31 Jan 2026 12:00:00 GMT")
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        if self.lengths:
            request.send_header("Content-Length", str(len(data) - start))
        else:
            request.send_header("Connection", "close")
        request.end_headers()
        if not body:
            return
        rest = data[start:]
        if self.break_after:
            request.wfile.write(rest[: self.break_after.pop(0)])
            request.wfile.flush()
            if self.change_after is not None:
                self.files[self.change_after[0]] = self.change_after[1]
            request.connection.shutdown(2)
            request.close_connection = True
            return
        with contextlib.suppress(ConnectionError):  # whoever asked has seen enough
            if self.stall_after is not None:
                request.wfile.write(rest[: self.stall_after])
                rest = rest[self.stall_after :]
                self.stalled.set()
                self.go_on.wait(60)
            request.wfile.write(rest)

    def _say(self, request: BaseHTTPRequestHandler, status: int) -> None:
        request.send_response(status)
        request.send_header("Content-Length", "0")
        request.end_headers()


@pytest.fixture(scope="session")
def web_server() -> Iterator[Web]:
    server = Web()
    yield server
    server.close()


@pytest.fixture
def web(web_server: Web) -> Web:
    web_server.reset()
    return web_server
