"""Frames are made and read in processes beside this one, with the same result; a process that dies costs no content."""

import contextlib
import itertools
import os
import random
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dsvc.objects import codec_process, late_processes
from dsvc.objects.chunker import MAX
from dsvc.objects.codec_process import CodecProcesses
from dsvc.objects.encodings import Decoder, Encoder, Encoding
from dsvc.objects.packindex import NO_BASE, Frame
from dsvc.objects.store import ObjectStore
from dsvc.worktree.bulkread import read_in_order

CAPACITY = (2 << 20) + MAX


def floats(count: int, seed: int = 0) -> bytes:
    """Return bfloat16: half of each is noise, the other one sign and exponent."""
    rng = random.Random(seed)
    result = bytearray(2 * count)
    result[::2] = rng.randbytes(count)
    exponents = bytes(rng.choices((0x3D, 0x3E, 0x3F, 0xBD, 0xBE, 0xBF), k=100_000))
    result[1::2] = (exponents * (count // len(exponents) + 1))[:count]
    return bytes(result)


FLOATS = floats(600_000)
TEXT = b"".join(b"%d,word%d,%d\n" % (n, n % 97, n * n % 1009) for n in range(60_000))
NOISE = random.Random(5).randbytes(500_000)


@pytest.fixture
def processes():
    if not hasattr(os, "memfd_create"):
        pytest.skip("this system has no memory that processes share without a name")
    found = CodecProcesses(capacity=CAPACITY, level=1)
    yield found
    found.close()


@pytest.fixture
def at_once(monkeypatch):
    """Processes from the first byte on."""
    monkeypatch.setattr(late_processes, "ALONE_BYTES", 0)
    started: list[int] = []
    start = codec_process._start

    def noted(*args, **options):
        process = start(*args, **options)
        if process is not None:
            started.append(process._process.pid)
        return process

    monkeypatch.setattr(codec_process, "_start", noted)
    return started


def whole(store: ObjectStore, file_id: bytes) -> bytes:
    return b"".join(bytes(piece) for pieces in read_in_order(store, file_id) for piece in pieces)


def pieces_of(data: bytes, size: int = 70_001) -> list[tuple[int, memoryview]]:
    return [(at, memoryview(data)[at : at + size]) for at in range(0, len(data), size)]


def frames_of(encoded: list[tuple[Encoding, bytes]], pieces: list[tuple[int, memoryview]]) -> list[Frame]:
    return [
        Frame(0, len(stored), len(data), NO_BASE, encoding)
        for (encoding, stored), (_, data) in zip(encoded, pieces, strict=True)
    ]


def decoded(processes: CodecProcesses, frames: list[Frame], stored: bytes) -> bytes:
    lent = processes.decode_run(frames, stored)
    content = bytes(lent.content)
    processes.give_back(lent)
    return content


@pytest.mark.parametrize("data", [FLOATS, TEXT, NOISE, b"x"], ids=["floats", "text", "noise", "a byte"])
def test_the_frames_are_those_of_this_process(processes, data):
    pieces = pieces_of(data)
    encoded = processes.encode_run(pieces)
    assert encoded == [(encoding, bytes(stored)) for encoding, stored in Encoder(level=1).encode_run(pieces)]
    stored = b"".join(stored for _, stored in encoded)
    assert decoded(processes, frames_of(encoded, pieces), stored) == data


def test_a_damaged_frame_is_left_to_the_caller_and_the_process_goes_on(processes):
    pieces = pieces_of(TEXT)
    encoded = processes.encode_run(pieces)
    frames = frames_of(encoded, pieces)
    stored = b"".join(stored for _, stored in encoded)
    assert processes.decode_run(frames, b"\0" * 100 + stored[100:]) is None
    assert processes.decode_run([frames[0]._replace(encoding=99)], stored[: frames[0].stored]) is None
    assert processes.decode_run([frames[0]._replace(plain=CAPACITY + 1)], stored[: frames[0].stored]) is None
    assert decoded(processes, frames, stored) == TEXT


@pytest.mark.parametrize("letter", ["e", "f", "d"])
@pytest.mark.parametrize("more", [b"", b"\7", b"\7\7\7\7\7\7\7"])
def test_arrays_of_every_width_are_put_together(processes, letter, more):
    numbers = [random.Random(n).gauss(0, 1) for n in range(20_000)]
    data = struct.pack(f"<{len(numbers)}{letter}", *numbers) + more
    encoded = processes.encode_run([(0, data)])
    assert [encoding for encoding, _ in encoded] == [
        {"e": Encoding.FLOAT16, "f": Encoding.FLOAT32, "d": Encoding.FLOAT64}[letter]
    ]
    assert decoded(processes, frames_of(encoded, [(0, memoryview(data))]), encoded[0][1]) == data
    assert Decoder().decode(*encoded[0], plain_length=len(data)) == data


def test_what_is_still_read_is_not_written_over(processes):
    pieces = pieces_of(FLOATS)
    encoded = processes.encode_run(pieces)
    frames, stored = frames_of(encoded, pieces), [stored for _, stored in encoded]
    lent = []
    for number in itertools.count():
        at = number % len(frames)
        one = processes.decode_run([frames[at]], stored[at])
        if one is None:
            break
        lent.append((at, one))
    assert len(lent) > 1
    assert all(one.content == pieces[at][1] for at, one in lent)
    for _, one in lent:
        processes.give_back(one)
    assert decoded(processes, frames, b"".join(stored)) == FLOATS


def test_more_at_once_than_there_are_processes_is_left_to_the_caller(processes):
    taken = []
    while (process := processes._take()) is not None:
        taken.append(process)
    assert processes.encode_run(pieces_of(TEXT)) is None
    assert processes.decode_run([], b"") is None
    for process in taken:
        processes._give_back(process, alive=True)
    assert processes.encode_run(pieces_of(TEXT))


def test_a_large_file_comes_and_goes_through_processes(memory_store, at_once):
    content = floats(10_000_000, seed=1) + TEXT + NOISE + floats(1_000_000, seed=2)
    file_id = memory_store.put_content(content)
    encoding = len(at_once)
    memory_store.flush()
    assert encoding >= 1
    assert whole(memory_store, file_id) == content
    assert len(at_once) > encoding
    memory_store.close()
    for pid in at_once:  # none is left, not even as a zombie
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_processes_that_are_killed_cost_no_content(memory_store, at_once):
    content = floats(10_000_000, seed=3)  # more than waits at once
    left = memoryview(content)

    def read(size: int) -> memoryview:
        nonlocal left
        for pid in at_once:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        data, left = left[: min(size, 1 << 20)], left[min(size, 1 << 20) :]
        return data

    file_id, length = memory_store.put_stream(read)
    memory_store.flush()
    assert at_once
    assert length == len(content)
    assert memory_store.read_file(file_id) == content
    found = []
    for pieces in read_in_order(memory_store, file_id):
        found += [bytes(piece) for piece in pieces]
        for pid in at_once:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    assert b"".join(found) == content


@pytest.mark.parametrize("missing", ["memory that is shared", "an interpreter of its own"])
def test_where_there_are_no_such_processes_all_is_done_here(memory_store, at_once, monkeypatch, missing):
    if missing == "memory that is shared":
        monkeypatch.delattr(os, "memfd_create")
    else:
        monkeypatch.setattr(sys, "executable", "/usr/sbin/a-server")
    file_id = memory_store.put_content(FLOATS)
    memory_store.flush()
    assert whole(memory_store, file_id) == FLOATS
    assert not at_once


def test_they_end_with_a_command_that_is_killed(tmp_path):
    script = """
import sys, time
from dsvc.objects.codec_process import CodecProcesses
processes = CodecProcesses(capacity=1 << 20, level=1)
assert processes.encode_run([(0, b"x" * 1000)])
print(processes._started[0]._process.pid, flush=True)
time.sleep(600)
"""
    root = Path(__file__).parents[2]
    command = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=root)
    pid = int(command.stdout.readline())
    command.kill()
    command.communicate()
    deadline = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists() and "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_interrupt_key_leaves_them_to_their_command(processes):
    assert processes.encode_run(pieces_of(TEXT))
    for process in processes._started:
        process._process.send_signal(signal.SIGINT)
    assert processes.encode_run(pieces_of(TEXT))
