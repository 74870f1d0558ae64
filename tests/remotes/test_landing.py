"""What is on its way is read as soon as it is here, and asked for once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsvc.errors import RemoteError
from dsvc.remotes.transfer import landing
from dsvc.remotes.transfer.landing import Landing
from dsvc.storage.backend import BlobMissingError
from dsvc.storage.memory import MemoryBackend

KEY = "packs/aa"
DATA = bytes(range(256)) * 40
PART = 1024


class Slow(MemoryBackend):
    """Gives each part when the test lets it through, and notes what was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.put(KEY, DATA)
        self.asked: list[int] = []
        self.let_through = threading.Semaphore(0)
        self.broken_at: int | None = None

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        self.asked.append(offset)
        self.let_through.acquire()
        if self.broken_at is not None and offset >= self.broken_at:
            raise RemoteError("the line broke")
        return super().get(key, offset=offset, length=length)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Slow]:
    monkeypatch.setattr(landing, "PART_BYTES", PART)
    found = Slow()
    yield found
    found.let_through.release(100)


def test_reading_follows_the_landing(slow: Slow, tmp_path: Path) -> None:
    here = Landing(slow, tmp_path)
    with here.arriving([(KEY, [(0, len(DATA))])], jobs=1):
        for number in range(len(DATA) // PART):
            threading.Timer(0.01, slow.let_through.release).start()
            assert here.get(KEY, offset=number * PART + 10, length=100) == DATA[number * PART + 10 :][:100]
    assert slow.asked == list(range(0, len(DATA), PART))


def test_nobody_waits_for_what_broke_off(slow: Slow, tmp_path: Path) -> None:
    slow.broken_at = 3 * PART
    slow.let_through.release(5)  # the next one is asked for when the break is noticed, or not
    here = Landing(slow, tmp_path)
    with pytest.raises(RemoteError, match="the line broke"), here.arriving([(KEY, [(0, len(DATA))])], jobs=1):
        here.get(KEY, offset=5 * PART, length=10)
    slow.broken_at = None
    slow.let_through.release(100)
    asked = len(slow.asked)
    with Landing(slow, tmp_path).arriving([(KEY, [(0, len(DATA))])], jobs=2) as all_here:
        all_here()
    assert sorted(slow.asked[asked:]) == list(range(3 * PART, len(DATA), PART)), "three parts were here"


def test_a_blob_that_is_gone_is_said_to_be(slow: Slow, tmp_path: Path) -> None:
    slow.let_through.release(100)
    with (
        pytest.raises(BlobMissingError),
        Landing(slow, tmp_path).arriving([("packs/bb", [(0, 10)])], jobs=1) as all_here,
    ):
        all_here()


def test_who_gives_up_stops_the_rest(slow: Slow, tmp_path: Path) -> None:
    slow.let_through.release(2)

    def give_up() -> None:
        with Landing(slow, tmp_path).arriving([(KEY, [(0, len(DATA))])], jobs=1):
            threading.Timer(0.05, slow.let_through.release).start()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        give_up()
    assert len(slow.asked) <= 4


def test_an_empty_piece_needs_nothing_to_land(slow: Slow, tmp_path: Path) -> None:
    here = Landing(slow, tmp_path)
    assert here.get(KEY, offset=10, length=0) == b""
    with here.arriving([(KEY, [(0, PART)])], jobs=1):
        assert here.get(KEY, offset=PART // 2, length=0) == b""
        slow.let_through.release(1)


def test_the_disk_begins_early_with_what_stays(
    slow: Slow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []

    def sync(path: Path) -> None:
        synced.append(path.stat().st_size)
        raise OSError

    monkeypatch.setattr(landing, "SYNC_BYTES", 4 * PART)
    monkeypatch.setattr(landing, "_sync", sync)
    slow.put("packs/bb", DATA)
    slow.let_through.release(100)
    here = Landing(slow, tmp_path)
    wanted = [(KEY, [(0, len(DATA))]), ("packs/bb", [(0, len(DATA))])]
    with here.arriving(wanted, jobs=1, staying=[KEY]) as all_here:
        all_here()
    assert len(synced) == 2, "twice for the one that stays, and no failure of it is the transfer's"
    assert here.get(KEY, offset=0, length=len(DATA)) == DATA


def under_way(slow: Slow, wanted: int) -> list[int]:
    """Wait until so many parts were asked for."""
    for _ in range(2000):
        if len(slow.asked) >= wanted:
            break
        time.sleep(0.005)
    return list(slow.asked)


def test_two_parts_come_at_a_time_and_in_order(
    slow: Slow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landing, "_PROMPT", 1000.0)  # any line is a fast one
    here = Landing(slow, tmp_path)
    with here.arriving([(KEY, [(0, len(DATA))])], jobs=8):
        for number in range(len(DATA) // PART):
            assert sorted(under_way(slow, number + 2))[:number] == list(range(0, number * PART, PART))
            assert len(slow.asked) <= number + 2
            slow.let_through.release()
    assert here.get(KEY, offset=0, length=len(DATA)) == DATA


def test_more_come_at_a_time_where_somebody_waits(
    slow: Slow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landing, "_PROMPT", -1000.0)  # any line is a slow one
    here = Landing(slow, tmp_path)
    with here.arriving([(KEY, [(0, len(DATA))])], jobs=8):
        reader = threading.Thread(target=here.get, args=(KEY,), kwargs={"offset": 9 * PART, "length": PART})
        reader.start()
        while not here._readers:
            time.sleep(0.005)
        assert len(under_way(slow, 2)) == 2
        slow.let_through.release()
        assert len(under_way(slow, 9)) == 9
        slow.let_through.release(100)
        reader.join(20)
    assert here.get(KEY, offset=0, length=len(DATA)) == DATA
