"""Of many who read large blobs over one line, two are served at a time: the first of them have theirs early."""

import contextlib
import os
import socket
import threading
import time

from dsvc.remotes.ssh.byte_streams import FileStream
from dsvc.remotes.wire.connection import WireConnection
from dsvc.remotes.wire.frames import (
    DATA,
    FAR_PREFACE,
    HELLO,
    NEAR_PREFACE,
    NEWEST,
    FrameReader,
    FrameWriter,
    pack_fields,
    unpack_fields,
)

LARGE = 2 << 20
HELLO_BACK = {"version": NEWEST, "program": "test", "window": 1 << 20, "inline": 1 << 10, "uploads": 2}


class FarEnd:
    """Says hello, and then does what the test says."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self._mine, self._theirs = ours, theirs
        stream = FileStream(ours.fileno(), ours.fileno())
        self.reader, self.writer = FrameReader(stream), FrameWriter(stream)

    def connect(self) -> WireConnection:
        thread = threading.Thread(target=self._greet)
        thread.start()
        descriptor = self._theirs.detach()
        connection = WireConnection(FileStream(descriptor, descriptor), place="there")
        thread.join()
        return connection

    def _greet(self) -> None:
        self.reader.preface(NEAR_PREFACE)
        kind, _, length = self.reader.header()
        assert kind == HELLO
        self.reader.read(length)
        self.writer.send_preface(FAR_PREFACE, pack_fields(HELLO_BACK))

    def request(self) -> tuple[int, dict]:
        _, number, length = self.reader.header()
        return number, unpack_fields(self.reader.read(length))

    def answer(self, number: int, data: bytes) -> None:
        self.writer.send_answered(number, pack_fields({"size": len(data)}), data[: 1 << 20], urgent=False)
        for at in range(1 << 20, len(data), 1 << 20):
            self.writer.send(DATA, number, data[at : at + (1 << 20)], urgent=False)


def test_large_reads_wait_for_their_turn():
    far = FarEnd()
    connection = far.connect()
    data = os.urandom(LARGE)
    got = []
    threads = [
        threading.Thread(target=lambda: got.append(connection.get("packs/aa", 0, LARGE)), daemon=True)
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    first, second = far.request(), far.request()
    assert {first[1]["op"], second[1]["op"]} == {"get"}
    time.sleep(0.05)  # a third request would be on its way by now
    small = threading.Thread(target=lambda: got.append(connection.get("lists/aa", 0, 3)), daemon=True)
    small.start()
    number, fields = far.request()
    assert fields["key"] == "lists/aa", "a small read waits for nobody"
    far.answer(number, b"abc")
    small.join(20)
    far.answer(first[0], data)
    number, fields = far.request()
    assert fields["key"] == "packs/aa"
    far.answer(second[0], data)
    far.answer(number, data)
    for thread in threads:
        thread.join(20)
    assert got == [b"abc", data, data, data]
    with contextlib.suppress(OSError):
        far._mine.shutdown(socket.SHUT_RDWR)
    connection.close()
