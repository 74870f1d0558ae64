"""A proxy for HTTP that notes what passes and does harm where a test asks for it."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal


@dataclass(frozen=True)
class Request:
    """One request as it came in."""

    method: str
    target: str
    headers: dict[str, str]
    size: int


@dataclass(frozen=True)
class Answer:
    """An answer of the proxy's own: an error as stores write it."""

    status: int
    code: str
    message: str = "said by a test"


@dataclass(frozen=True)
class CutHead:
    """The head of an answer ends behind the name of one of its headers, or so many bytes into what it says."""

    header: str
    after: int = 0


# What happens to a request: the connection is cut before it is passed on, or when it was done and before the answer;
# the body of the answer ends half-way; it is done and an answer of the proxy's own is sent.
Harm = Literal["cut before", "cut after", "half", "fail after"] | Answer | CutHead


@dataclass
class _Fault:
    harm: Harm | Callable[[], None]
    method: str
    containing: str
    skip: int
    times: int
    struck: int = 0


@dataclass
class Proxy:
    """Passes requests on to a port of this machine."""

    port_behind: int
    requests: list[Request] = field(default_factory=list)
    _faults: list[_Fault] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _server: ThreadingHTTPServer | None = None

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def harm(
        self, harm: Harm | Callable[[], None], method: str = "", containing: str = "", *, skip: int = 0, times: int = 1
    ) -> None:
        """Harm the next `times` requests of that method whose target contains that text, after `skip` of them.

        A function is called before the request is passed on, instead of harming it.
        """
        with self._lock:
            self._faults.append(_Fault(harm, method, containing, skip, times))

    def heal(self) -> None:
        """Let all pass from now on."""
        with self._lock:
            self._faults.clear()

    def count(self, method: str = "", containing: str = "") -> int:
        """How many such requests have come."""
        return sum(one.method.startswith(method) and containing in one.target for one in self.requests)

    def take(self, request: Request) -> Harm | Callable[[], None] | None:
        """Note a request and say what is to happen to it."""
        with self._lock:
            self.requests.append(request)
            for fault in self._faults:
                if fault.times <= 0 or not request.method.startswith(fault.method):
                    continue
                if fault.containing not in request.target:
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                fault.times -= 1
                return fault.harm
        return None

    @contextmanager
    def running(self) -> Iterator[Proxy]:
        """Listen on a free port until the block ends."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        server.daemon_threads = True
        self._server = server
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def _handler(proxy: Proxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body of an answer go out together

        def log_message(self, *_: object) -> None:
            pass

        def handle_expect_100(self) -> bool:
            kept = super().handle_expect_100()
            self.wfile.flush()
            return kept

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            harm = proxy.take(Request(self.command, self.path, dict(self.headers.items()), len(body)))
            if isinstance(harm, Answer):
                self.say(harm)
                return
            if harm == "cut before":
                self.cut()
                return
            if callable(harm):
                harm()
            try:
                behind = http.client.HTTPConnection("127.0.0.1", proxy.port_behind, timeout=60)
                behind.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    if name.lower() not in ("connection", "expect"):
                        behind.putheader(name, value)
                behind.endheaders(body)
                answer = behind.getresponse()
                content = answer.read()
                behind.close()
            except (OSError, http.client.HTTPException):
                self.cut()
                return
            if harm == "cut after":
                self.cut()
                return
            if harm == "fail after":
                self.say(Answer(500, "InternalError"))
                return
            self.send_response_only(answer.status, answer.reason)
            for name, value in answer.getheaders():
                if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                    self.send_header(name, value)
            length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
            if answer.status != 204:
                self.send_header("Content-Length", length or "0")
            if isinstance(harm, CutHead):
                self.send_header("X-Last", "")
                head = b"".join(self._headers_buffer)
                _, _, rest = head.partition(f"{harm.header}: ".encode())
                left = rest[harm.after :]
                self.wfile.write(head[: len(head) - len(left)])
                self.cut()
                return
            self.end_headers()
            if harm == "half":
                self.wfile.write(content[: len(content) // 2])
                self.cut()
                return
            self.wfile.write(content)
            self.wfile.flush()

        def say(self, answer: Answer) -> None:
            text = f"<Error><Code>{answer.code}</Code><Message>{answer.message}</Message></Error>".encode()
            self.send_response_only(answer.status)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(text)
            self.wfile.flush()

        def cut(self) -> None:
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = pass_on  # noqa: N815

    return Handler
