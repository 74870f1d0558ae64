"""Speaks the protocol by hand, through the real `ssh`, as somebody who has an account and bad manners."""

from __future__ import annotations

import shlex
import struct
import subprocess
from typing import Any, Self

import msgpack
from blake3 import blake3

from dsvc.objects.packlist import PackRef
from tests.hub.conftest import HubHost

HEADER = struct.Struct(">BII")
HELLO, REQUEST, ANSWER, ERROR, DATA, BEGIN, END, CREDIT, CANCEL = range(1, 10)


class Attacker:
    """One connection."""

    def __init__(self, host: HubHost, name: str, repository: str) -> None:
        words = [*host.ssh(name), "127.0.0.1", f"dsvc hub serve {shlex.quote(repository)}"]
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.number = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()

    def send(self, kind: int, number: int, body: object = b"") -> None:
        raw = body if isinstance(body, bytes) else msgpack.packb(body)
        self.raw(HEADER.pack(kind, number, len(raw)) + raw)

    def raw(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def receive(self) -> tuple[int, int, Any]:
        assert self.process.stdout is not None
        header = self.process.stdout.read(9)
        assert len(header) == 9, self.process.stderr.read() if self.process.stderr else ""
        kind, number, length = HEADER.unpack(header)
        body = self.process.stdout.read(length)
        return kind, number, body if kind == DATA else msgpack.unpackb(body)

    def hello(self, *, create: bool = False) -> Any:
        hello = {"oldest": 1, "newest": 1, "program": "attacker", "features": [], "create": create}
        self.raw(b"dsvc wire <\n")
        self.send(HELLO, 0, hello)
        assert self.process.stdout is not None
        assert self.process.stdout.read(12) == b"dsvc wire >\n"
        return self.receive()[2]

    def ask(self, operation: str, **fields: object) -> tuple[int, Any]:
        """Return the kind of the first frame that answers, and what it says."""
        self.number += 1
        self.send(REQUEST, self.number, {"op": operation, **fields})
        while True:
            kind, number, body = self.receive()
            if number in (self.number, 0):
                return kind, body

    def refused(self, operation: str, **fields: object) -> str:
        """Ask for what must not be done; return why it is not."""
        kind, body = self.ask(operation, **fields)
        assert kind == ERROR, body
        return str(body["message"])

    def put(self, key: str, data: bytes) -> None:
        kind, body = self.ask("put", key=key, data=data, hash=blake3(data).digest())
        assert kind == ANSWER, body

    def ended(self) -> int:
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(60)


def row(ref: PackRef) -> list[object]:
    """A pack as an offer names it."""
    return [bytes(ref.id), int(ref.pack_class), ref.size, ref.index_offset, ref.objects]
