"""A served model as a test meets it: a process, its address, and requests to it."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

TIMEOUT = 60


@dataclass
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Served:
    address: str
    process: subprocess.Popen[bytes]
    said: list[bytes] = field(default_factory=list)

    def ask(
        self,
        path: str,
        body: Any = None,
        *,
        method: str = "",
        headers: Mapping[str, str] | None = None,
        context: ssl.SSLContext | None = None,
    ) -> Reply:
        """Send a request; a body that is no bytes is sent as JSON."""
        place = urlsplit(self.address)
        if context is not None:
            connection: Any = http.client.HTTPSConnection(place.hostname, place.port, timeout=TIMEOUT, context=context)
        else:
            connection = http.client.HTTPConnection(place.hostname, place.port, timeout=TIMEOUT)
        try:
            payload = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
            connection.request(method or ("GET" if body is None else "POST"), path, payload, dict(headers or {}))
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, found, answer.read())
        finally:
            connection.close()


@contextmanager
def serving(folder: Path, *words: str, environment: Mapping[str, str] | None = None) -> Iterator[Served]:
    """Serve a folder by the program that images start."""
    with started([sys.executable, "-m", "dsvc.serving", str(folder), "--port", "0", *words], environment) as found:
        yield found


@contextmanager
def started(
    words: Sequence[str], environment: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Iterator[Served]:
    """Run a program that says on stderr or stdout where it listens, and end it."""
    process = subprocess.Popen(
        words, cwd=cwd, env={**os.environ, **(environment or {})}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    said: list[bytes] = []
    address = ""
    try:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if b"http" in line:
                address = line.split()[-1].decode()
                break
        assert address, b"".join(said).decode()
        reader = threading.Thread(target=lambda: said.extend(process.stdout or []), daemon=True)
        reader.start()
        yield Served(address, process, said)
    finally:
        process.terminate()
        try:
            process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
