"""A conversation between both ends of the SSH protocol, byte by byte, as docs/formats/ssh-protocol.md shows it."""

import os
import threading

import pytest
from blake3 import blake3

from dsvc.remotes.ssh.byte_streams import FileStream
from dsvc.remotes.wire import connection as wire_connection
from dsvc.remotes.wire import server as wire_server
from dsvc.remotes.wire.connection import WireConnection
from dsvc.remotes.wire.source import Source
from dsvc.storage.backend import BlobMissingError
from dsvc.storage.memory import MemoryBackend
from tests.formats.wire_bytes import WIRE


class Recorded(FileStream):
    """A stream that keeps what was written to it."""

    def __init__(self, read: int, write: int) -> None:
        super().__init__(read, write)
        self.written = b""

    def write(self, parts) -> None:
        self.written += b"".join(parts)
        super().write(parts)

    def taken(self) -> str:
        written, self.written = self.written, b""
        return written.hex()


def conversation(folder) -> dict[str, str]:
    """Say the same as the page; returns the bytes of both ends for each step."""
    (up_read, up_write), (down_read, down_write) = os.pipe(), os.pipe()
    near, far = Recorded(down_read, up_write), Recorded(up_read, down_write)
    backend = MemoryBackend()
    server = threading.Thread(target=wire_server.serve, args=(lambda create: (backend, folder), far))
    server.start()
    connection = WireConnection(near, place="there")
    data = b"hello\n"
    steps = {
        "hello": lambda: None,
        "put": lambda: connection.call("put", key="packs/aa", data=data, hash=blake3(data).digest()),
        "get": lambda: connection.get("packs/aa", 1, None),
        "upload": lambda: connection.upload("packs/bb", Source(data)),
        "missing": lambda: connection.call("missing", keys=["packs/aa", "packs/cc"]),
        "list": lambda: connection.call("list", prefix="packs/", after=""),
        "swap": lambda: connection.swap(name="head", expected=None, value=b"one"),
        "error": lambda: connection.get("packs/cc", 0, 10),
    }
    found = {}
    for name, step in steps.items():
        try:
            step()
        except BlobMissingError:
            assert name == "error"
        found[f"wire {name}"], found[f"wire {name} answer"] = near.taken(), far.taken()
    near.close()
    server.join()
    return found


def test_both_ends_say_exactly_this(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (wire_connection, wire_server):
        monkeypatch.setattr(module, "__version__", "0.1.0")
    monkeypatch.setattr(wire_server.time, "time", lambda: 1_800_000_000.0)
    assert conversation(tmp_path) == WIRE
