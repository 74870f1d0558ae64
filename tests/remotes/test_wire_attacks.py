"""What a hostile or broken peer can send: the honest side says so in one sentence, keeps what it has and ends."""

import os
import shlex
import struct
import subprocess
import sys
import threading
from pathlib import Path

import msgpack
import pytest
from blake3 import blake3

from dsvc.errors import RemoteError
from dsvc.remotes.ssh.byte_streams import FileStream
from dsvc.remotes.ssh.opening import open_ssh
from dsvc.remotes.ssh.settings import SshSettings
from dsvc.remotes.wire.frames import FrameWriter, ProtocolError
from dsvc.remotes.wire.upload import Upload
from dsvc.remotes.wire.workers import Workers
from dsvc.storage.backend import BlobDamagedError
from dsvc.storage.local import LocalBackend

HEADER = struct.Struct(">BII")
HELLO, REQUEST, ANSWER, ERROR, DATA, BEGIN, END, CREDIT, CANCEL = range(1, 10)
MIB = 1 << 20


def frame(kind, number, body=b""):
    body = body if isinstance(body, bytes) else msgpack.packb(body)
    return HEADER.pack(kind, number, len(body)) + body


class Client:
    """Speaks to a real `dsvc hub serve`, byte by byte."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dsvc", "hub", "serve", str(store)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def send(self, *frames: bytes) -> None:
        self.process.stdin.write(b"".join(frames))
        self.process.stdin.flush()

    def hello(self, **fields):
        hello = {"oldest": 1, "newest": 1, "program": "test", "features": [], "create": True, **fields}
        self.send(b"dsvc wire <\n", frame(HELLO, 0, hello))
        assert self.process.stdout.read(12) == b"dsvc wire >\n"
        return self.receive()[2]

    def receive(self):
        kind, number, length = HEADER.unpack(self.process.stdout.read(9))
        body = self.process.stdout.read(length)
        return kind, number, body if kind == DATA else msgpack.unpackb(body)

    def ended(self):
        """Wait for its end; return the exit code and what it said on stderr."""
        self.process.stdin.close()
        code = self.process.wait(30)
        return code, self.process.stderr.read().decode()

    def refused(self):
        """It told this end what it did wrong, ended with 14 and said so to its own side."""
        kind, number, fields = self.receive()
        assert (kind, number, fields["kind"]) == (ERROR, 0, "remote")
        code, said = self.ended()
        assert code == 14
        assert fields["message"] in said
        assert "Traceback" not in said
        return fields["message"]


@pytest.fixture
def client(tmp_path):
    client = Client(tmp_path / "store")
    yield client
    client.process.kill()
    client.process.wait()
    for stream in (client.process.stdin, client.process.stdout, client.process.stderr):
        stream.close()


def test_a_frame_that_is_too_long(client):
    client.hello()
    client.send(HEADER.pack(REQUEST, 1, (4 << 20) + 1))
    assert "4,194,305 bytes" in client.refused()


def test_data_that_is_too_long(client):
    client.hello()
    client.send(HEADER.pack(DATA, 1, MIB + 1))
    assert "1,048,577 bytes" in client.refused()


def test_a_frame_that_never_ends(client):
    client.hello()
    client.send(HEADER.pack(REQUEST, 1, 4 << 20), b"x" * 1000)
    assert client.ended() == (0, "")


BAD = [b"\xc1", b"\x93\x01\x02\x03", b"\x81\x01\x02", b"", b"\xdf\xff\xff\xff\xff", b"\x91" * 5000]


@pytest.mark.parametrize("body", BAD)
def test_a_message_that_cannot_be_read(client, body):
    client.hello()
    client.send(frame(REQUEST, 1, body))
    assert "cannot be read" in client.refused()


@pytest.mark.parametrize("kind", [0, HELLO, ANSWER, ERROR, CREDIT, 77])
def test_a_frame_of_a_wrong_kind(client, kind):
    client.hello()
    client.send(frame(kind, 1, {}))
    assert "unknown kind" in client.refused()


def test_many_large_requests_at_once(client):
    """They wait their turn outside, not in the memory of the far end."""
    client.hello()
    status = Path(f"/proc/{client.process.pid}/status")
    keys = ["packs/" + "a" * 1000] * 4000
    large = [frame(REQUEST, number, {"op": "missing", "keys": keys}) for number in range(1, 51)]
    sender = threading.Thread(target=lambda: [client.send(one) for one in large])
    sender.start()
    for _ in large:
        kind, _, answer = client.receive()
        assert (kind, len(answer["absent"])) == (ANSWER, 4000)
    sender.join()
    peak = next(int(line.split()[1]) >> 10 for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    assert peak < 150, peak  # MiB, of 200 that were sent
    assert client.ended() == (0, "")


def test_a_number_used_twice(client):
    client.hello()
    client.send(frame(REQUEST, 5, {"op": "read_cell", "name": "head"}))
    assert client.receive() == (ANSWER, 5, {"value": None})
    client.send(frame(REQUEST, 5, {"op": "read_cell", "name": "head"}))
    assert "twice" in client.refused()


def test_data_for_nothing(client):
    client.hello()
    client.send(frame(DATA, 9, b"x"))
    assert "belongs to nothing" in client.refused()


def test_requests_that_make_no_sense(client):
    client.hello()
    requests = [
        {"op": "format_disk"},
        {"op": "get"},
        {"op": "get", "key": 7},
        {"op": "get", "key": "packs/aa", "offset": "0"},
        {"op": "get", "key": "packs/aa", "offset": 0, "length": -1},
        {"op": "get", "key": "../../etc/passwd", "offset": 0},
        {"op": "get", "key": "packs/" + "a" * 5000, "offset": 0},
        {"op": "put", "key": "packs/aa", "data": b"x", "hash": b"y" * 32},
        {"op": "put", "key": "tmp/aa", "data": b"x", "hash": blake3(b"x").digest()},
        {"op": "upload", "key": "packs/aa"},
        {"op": "upload", "key": "packs/aa", "size": -5},
        {"op": "upload", "key": "packs/aa", "size": 1 << 62},
        {"op": "missing", "keys": ["packs/aa", b"x"]},
        {"op": "list", "prefix": "packs/../../", "after": ""},
        {"op": "list", "prefix": "packs", "after": 5},
        {"op": "delete", "key": "cells/head/1"},
        {"op": "read_cell", "name": "../x"},
        {"op": "read_cell", "name": None},
        {"op": "swap_cell", "name": "head", "expected": "text", "value": b""},
        {"op": "swap_cell", "name": "head", "expected": None, "value": "text"},
    ]
    for number, fields in enumerate(requests, 1):
        client.send(frame(REQUEST, number, fields))
        kind, answered, answer = client.receive()
        assert (kind, answered) == (ERROR, number), fields
        assert "Traceback" not in answer["message"]
        assert answer["kind"] != "failed", answer
    client.send(frame(REQUEST, 100, {"op": "read_cell", "name": "head"}))
    assert client.receive() == (ANSWER, 100, {"value": None})
    assert client.ended() == (0, "")
    assert {path.name for path in client.store.rglob("*")} <= {"tmp"}


def upload(client, size=3):
    client.hello()
    client.send(frame(REQUEST, 1, {"op": "upload", "key": "packs/aa", "size": size}))
    kind, _, answer = client.receive()
    assert (kind, answer) == (ANSWER, {"at": 0, "hash": blake3().digest()})


def test_an_upload_whose_hash_is_wrong(client):
    upload(client)
    client.send(frame(BEGIN, 1, {"at": 0}), frame(DATA, 1, b"abc"), frame(END, 1, {"hash": blake3(b"xyz").digest()}))
    kind, _, fields = client.receive()
    assert (kind, fields["kind"]) == (ERROR, "damaged")
    client.ended()
    assert [path.name for path in client.store.rglob("*")] == ["tmp"]  # and nothing is left in it


def test_an_upload_that_is_too_short(client):
    upload(client)
    client.send(frame(BEGIN, 1, {"at": 0}), frame(DATA, 1, b"ab"), frame(END, 1, {"hash": blake3(b"ab").digest()}))
    assert client.receive()[2]["kind"] == "damaged"
    client.ended()
    assert not (client.store / "packs").exists()


def test_an_upload_that_is_too_long(client):
    upload(client)
    client.send(frame(BEGIN, 1, {"at": 0}), frame(DATA, 1, b"abcd"))
    assert "more bytes than it may" in client.refused()


def test_an_upload_that_does_not_say_where_it_begins(client):
    upload(client)
    client.send(frame(DATA, 1, b"abc"))
    assert "more bytes than it may" in client.refused()


def test_an_upload_that_begins_elsewhere(client):
    upload(client)
    client.send(frame(BEGIN, 1, {"at": 2}))
    assert "cannot begin at byte 2" in client.refused()


def test_an_upload_that_floods(tmp_path):
    """More than the window while the disk does not keep up: here nobody writes at all."""
    read, write = os.pipe()
    workers = Workers()
    workers.close()
    one = Upload("packs/aa", 1 << 30, request=1, backend=LocalBackend(tmp_path), staging=tmp_path)
    one.connect(FrameWriter(FileStream(read, write)), workers, over=lambda: None)
    one.begin(0)
    for _ in range(4):
        one.receive(bytearray(MIB))
    with pytest.raises(ProtocolError, match="more bytes than it may"):
        one.receive(bytearray(1))
    one.abandon()
    assert list(tmp_path.iterdir()) == []


def test_too_many_uploads(client):
    client.hello()
    client.send(*(frame(REQUEST, n, {"op": "upload", "key": f"packs/{n}", "size": 9}) for n in range(1, 40)))
    while (answer := client.receive())[1]:
        assert answer[0] == ANSWER
    assert "too many" in answer[2]["message"]
    assert client.ended()[0] == 14


def test_a_cancelled_read_stops(client):
    client.hello()
    (client.store / "packs").mkdir()
    with open(client.store / "packs" / "aa", "wb") as file:
        file.truncate(4 << 30)
    client.send(frame(REQUEST, 1, {"op": "get", "key": "packs/aa", "offset": 0}), frame(CANCEL, 1, {}))
    client.send(frame(REQUEST, 2, {"op": "read_cell", "name": "head"}))
    received = 0
    while True:
        _, number, body = client.receive()
        if number == 2:
            break
        received += len(body)
    assert received < 64 * MIB
    assert client.ended() == (0, "")


def test_another_version(client):
    error = client.hello(oldest=7, newest=9)["error"]
    assert error["message"].endswith("speaks the protocol in version 1, the dsvc here in version 7 to 9")
    assert error["hint"] == "install a newer dsvc there"
    assert client.ended()[0] == 14


def test_no_hello(client):
    client.send(b"GET / HTTP/1.1\r\n\r\n")
    code, said = client.ended()
    assert code == 14
    assert "GET / HTTP/1.1" in said


# A hostile far end: a program that speaks instead of `dsvc hub serve`.

GREETING = b"dsvc wire >\n"
SERVER_HELLO = {"version": 1, "program": "evil", "features": [], "window": 4 << 20, "uploads": 16, "inline": 65536}


class Evil:
    """A far end that says what it was told to, whatever it is asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0

    def open(self, *said: bytes, hello=SERVER_HELLO):
        self.count += 1
        script = self.folder / f"evil{self.count}"
        words = [GREETING + frame(HELLO, 0, hello), *said]
        script.write_text(
            "import os, sys\n"
            f"first, *rest = {words!r}\n"
            "os.read(0, 4096)\n"  # its hello
            "os.write(1, first)\n"
            "os.read(0, 4096)\n"  # its request
            "for word in rest:\n    os.write(1, word)\n"
            "while os.read(0, 4096): pass\n"
        )
        run = self.folder / f"run{self.count}"
        run.write_text(f"#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(str(script))}\n")
        run.chmod(0o755)
        environment = {**os.environ, "DSVC_SSH_COMMAND": shlex.quote(str(run))}
        return open_ssh(SshSettings("evil", "/x"), environment=environment, delays=())


@pytest.fixture
def evil(tmp_path):
    return Evil(tmp_path)


def asked(backend, call):
    """What the backend raises, within a time that a person would wait."""
    failure = []

    def ask():
        try:
            call(backend)
        except Exception as error:
            failure.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive(), "it waits for ever"
    backend.close()
    assert failure, "it took that for an answer"
    return failure[0]


def read(backend):
    return backend.get("packs/aa", length=10)


@pytest.mark.parametrize(
    ("said", "call", "wanted"),
    [
        (HEADER.pack(ANSWER, 1, (4 << 20) + 1), read, ProtocolError),
        (HEADER.pack(DATA, 1, MIB + 1), read, ProtocolError),
        (frame(ANSWER, 1, {"size": 11}), read, ProtocolError),
        (frame(ANSWER, 1, {"size": -1}), lambda b: b.get("packs/aa"), ProtocolError),
        (frame(ANSWER, 1, {"size": "10"}), read, ProtocolError),
        (frame(DATA, 1, b"0123456789"), read, ProtocolError),
        (frame(ANSWER, 1, {"size": 10}) + frame(DATA, 1, b"0123456789A"), read, ProtocolError),
        (frame(ANSWER, 1, {"size": 10}) * 2, read, ProtocolError),
        (frame(77, 1, {}), read, ProtocolError),
        (frame(ANSWER, 1, b"\xc1"), read, ProtocolError),
        (frame(ERROR, 1, {}), read, RemoteError),
        (frame(ERROR, 1, {"kind": 5, "message": 7, "hint": []}), read, RemoteError),
        (frame(ERROR, 1, {"kind": "damaged", "message": "\x1b[31mred"}), read, BlobDamagedError),
        (frame(ERROR, 0, {"kind": "remote", "message": "go away"}), read, RemoteError),
        (frame(ANSWER, 1, {}), lambda b: b.missing(["packs/aa"]), ProtocolError),
        (frame(ANSWER, 1, {"absent": [5]}), lambda b: b.missing(["packs/aa"]), ProtocolError),
        (frame(ANSWER, 1, {"absent": ["packs/zz"]}), lambda b: b.missing(["packs/aa"]), ProtocolError),
        (frame(ANSWER, 1, {"keys": ["b", "a"], "sizes": [1, 1]}), lambda b: list(b.list("")), ProtocolError),
        (frame(ANSWER, 1, {"keys": ["x"], "sizes": [1]}), lambda b: list(b.list("packs/")), ProtocolError),
        (frame(ANSWER, 1, {"keys": [], "sizes": [], "more": True}), lambda b: list(b.list("")), ProtocolError),
        (frame(ANSWER, 1, {"value": 5}), lambda b: b.read_cell("head"), ProtocolError),
        (frame(ANSWER, 1, {"swapped": "yes"}), lambda b: b.swap_cell("head", None, b""), ProtocolError),
        (frame(DATA, 1, b"x"), lambda b: b.read_cell("head"), ProtocolError),
        (frame(ANSWER, 1, {"at": "0", "hash": b""}), lambda b: b.put("packs/aa", bytes(MIB)), ProtocolError),
        (frame(ANSWER, 1, {"at": 0}), lambda b: b.put("packs/aa", bytes(MIB)), ProtocolError),
    ],
)
def test_answers_that_make_no_sense(evil, said, call, wanted):
    error = asked(evil.open(said), call)
    assert isinstance(error, wanted), repr(error)
    assert "\x1b" not in error.message


def test_a_size_that_no_memory_holds(evil):
    """Room is made for what arrives, not for what is announced."""
    said = frame(ANSWER, 1, {"size": 1 << 50}) + frame(DATA, 1, b"x") + frame(ERROR, 1, {"message": "no more"})
    backend = evil.open(said)
    assert "no more" in asked(backend, lambda b: b.get("packs/aa")).message


@pytest.mark.parametrize("hello", [{}, {"version": 2}, {**SERVER_HELLO, "version": "1"}, {"error": {"message": "no"}}])
def test_hellos_that_make_no_sense(evil, hello):
    with pytest.raises(RemoteError):
        evil.open(hello=hello)


def test_a_hello_that_is_too_long(evil):
    with pytest.raises(ProtocolError):
        evil.open(hello={**SERVER_HELLO, "program": "x" * 70_000})
