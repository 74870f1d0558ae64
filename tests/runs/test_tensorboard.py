"""Event files of TensorBoard, written by another library, and bytes that are none."""

from __future__ import annotations

import importlib.util
import struct
import time

import pytest

from dsvc.runs.tensorboard import BadEventsError, _masked, read_scalars

needs_writer = pytest.mark.skipif(
    importlib.util.find_spec("tensorboardX") is None, reason="tensorboardX is not installed"
)

TRAIN = """
from tensorboardX import SummaryWriter
for place in ("train", "validation"):
    with SummaryWriter("board/" + place) as board:
        for step in range(20):
            board.add_scalar("loss", 1 / (step + 1), step)
        board.add_text("note", "hello", 1)
        board.add_histogram("weights", [1.0, 2.0, 2.5], 3)
"""


def record(data: bytes) -> bytes:
    head = struct.pack("<Q", len(data))
    return head + struct.pack("<I", _masked(head)) + data + struct.pack("<I", _masked(data))


def field(number: int, data: bytes) -> bytes:
    return bytes([number << 3 | 2, len(data)]) + data


def event(step: int, value: bytes) -> bytes:
    head = bytes([1 << 3 | 1]) + struct.pack("<d", 1.5e9) + bytes([2 << 3, step])
    return head + field(5, field(1, value))


def test_sums_are_those_of_castagnoli():
    crc = (0xE3069283 >> 15 | 0xE3069283 << 17) + 0xA282EAD8 & 0xFFFFFFFF
    assert _masked(b"123456789") == crc  # the check value of CRC-32C


@needs_writer
def test_scalars_of_a_run_are_series(project):
    project.write("train.py", TRAIN)
    project.write(".dsvcignore", "board/\n")
    run = project.run("--", "python", "train.py")
    series = {one["name"]: one for one in run["series"]}
    assert set(series) == {"train/loss", "validation/loss"}
    assert (series["train/loss"]["count"], series["train/loss"]["last_step"]) == (20, 19)
    assert (series["train/loss"]["last"], series["train/loss"]["max"]) == (0.05, 1.0)
    time.sleep(1.1)  # the time of an event may be a second before it was written
    again = project.run("--trace", "none", "--metrics", "board", "--", "true")
    assert again["series"] == []  # they are older
    named = project.run("--trace", "none", "--metrics", "board/train", "--", "python", "train.py")
    assert [(one["name"], one["count"]) for one in named["series"]] == [("loss", 20)]
    time.sleep(1.1)
    both = project.run("--metrics", "board", "--", "python", "train.py")
    assert sum(one["count"] for one in both["series"]) == 40  # each file once


def test_tensors_of_one_number_are_scalars_where_they_are_said_to_be(tmp_path):
    scalars = field(9, field(1, field(1, b"scalars")))
    tensor = field(1, b"a") + field(8, bytes([1 << 3, 1]) + field(4, struct.pack("<f", 0.1))) + scalars
    double = field(1, b"b") + field(8, bytes([1 << 3, 2]) + field(6, struct.pack("<d", 0.1))) + scalars
    whole = field(1, b"c") + field(8, bytes([1 << 3, 9, 10 << 3, 7])) + scalars
    other = field(1, b"d") + field(8, bytes([1 << 3, 1]) + field(4, struct.pack("<f", 1)))
    path = tmp_path / "x.tfevents.1"
    path.write_bytes(b"".join(record(event(step, value)) for step, value in enumerate((tensor, double, whole, other))))
    found = [(one.tag, one.step, one.value, one.time) for one in read_scalars(path)]
    assert found == [("a", 0, 0.1, 1500000000000000), ("b", 1, 0.1, 1500000000000000), ("c", 2, 7, 1500000000000000)]


def test_torn_damaged_and_hostile_files(tmp_path):
    good = record(event(1, field(1, b"a") + bytes([2 << 3 | 5]) + struct.pack("<f", 0.5)))
    path = tmp_path / "x.tfevents.1"
    for length in range(len(good)):
        path.write_bytes(good + good[:length])
        assert len(list(read_scalars(path))) == 1  # a writer that was killed
    bad = bytearray(good)
    bad[20] ^= 1
    huge = struct.pack("<Q", 1 << 40)
    huge += struct.pack("<I", _masked(huge))
    for data in (bytes(bad), b"x" * 100, huge, record(b"\xff" * 30), record(b"\x2a\x7f")):
        path.write_bytes(data)
        with pytest.raises(BadEventsError):
            list(read_scalars(path))
    path.write_bytes(b"")
    assert list(read_scalars(path)) == []
