"""The progress line: when it shows, what it says, and that it leaves nothing behind."""

from __future__ import annotations

import io
import time

from dsvc.commands.output import Output
from dsvc.commands.progress_bar import ProgressLine, duration_text, progress_text, size_text


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def make() -> tuple[ProgressLine, Clock, Output, io.BytesIO]:
    err, clock = io.BytesIO(), Clock()
    out = Output(io.BytesIO(), err, terminal=True, err_terminal=True)
    return ProgressLine(out, now=clock, columns=lambda: 80), clock, out, err


def test_short_work_shows_nothing():
    progress, clock, _, err = make()
    progress.start("Storing", total_items=10)
    for _ in range(10):
        clock.seconds += 0.09
        progress.advance(items=1, size=100)
    progress.finish()
    assert err.getvalue() == b""


def test_several_short_phases_are_long_work_too():
    progress, clock, _, err = make()
    for label in ("Looking", "Counting", "Reading"):
        progress.start(label, total_items=10)
        for _ in range(8):
            clock.seconds += 0.1
            progress.advance(items=1)
    progress.finish()
    shown = err.getvalue().decode()
    assert "Looking" not in shown
    assert "Counting" in shown
    assert "Reading" in shown


def test_long_work_shows_one_line_that_goes_away():
    progress, clock, out, err = make()
    progress.start("Storing", total_bytes=4 << 20, total_items=4)
    clock.seconds += 2
    progress.advance(items=1, size=1 << 20)
    shown = err.getvalue().decode()
    assert shown == "\r\x1b[KStoring  [##         ]   25%  1/4 files  1.0 MiB/4.0 MiB  512.0 KiB/s  6 s left"
    progress.advance(items=1, size=1 << 20)
    assert err.getvalue().decode() == shown
    out.note("a note")
    assert err.getvalue().decode() == shown + "\r\x1b[Ka note\n"
    clock.seconds += 1
    progress.advance(items=1, size=1 << 20)
    progress.finish()
    assert err.getvalue().endswith(b"\r\x1b[K")


def test_what_is_not_known_is_left_out():
    assert progress_text("Looking", 2.0, items=3000, size=0) == "Looking  3,000 files  1,500 files/s"
    assert progress_text("Reading", 2.0, items=0, size=4096) == "Reading  4.0 KiB  2.0 KiB/s"
    assert progress_text("", 2.0, items=0, size=0, total_items=0) == "0 files/s"
    assert progress_text("Importing", 2.0, items=9, size=0, unit="commits") == "Importing  9 commits  4 commits/s"


def test_a_narrow_terminal_gets_what_matters_most():
    def text(width: int) -> str:
        return progress_text(
            "Storing files", 2.0, items=20_002, size=385 << 20, total_items=20_007, total_bytes=1800 << 20, width=width
        )

    assert text(100).startswith("Storing files  [##            ]   21%  20,002/20,007 files  385.0 MiB/1.8 GiB")
    assert text(79) == "Storing files   21%  20,002/20,007 files  0.4/1.8 GiB  192.5 MiB/s  7 s left"
    assert text(59) == "Storing files   21%  0.4/1.8 GiB  192.5 MiB/s  7 s left"
    assert text(44) == "Storing files   21%  0.4/1.8 GiB  7 s left"
    assert text(30) == "Storing files   21%  7 s left"
    assert progress_text("Looking", 2.0, items=3000, size=0, total_items=4000, width=30) == "Looking   75%  1 s left"


def test_more_than_announced_is_not_more_than_all():
    text = progress_text("x", 2.0, items=5, size=0, total_items=4)
    assert "100%" in text
    assert "0 s left" in text


def test_amounts():
    assert [size_text(size) for size in (0, 1023, 1024, 1536 << 10, 5 << 40)] == [
        "0 B",
        "1023 B",
        "1.0 KiB",
        "1.5 MiB",
        "5.0 TiB",
    ]
    assert [duration_text(seconds) for seconds in (0.4, 59, 61, 3600, 7800)] == [
        "0 s",
        "59 s",
        "1 min 01 s",
        "1 h 00 min",
        "2 h 10 min",
    ]


def test_what_is_counted_meanwhile_shows_once_it_is_known():
    progress, clock, _, err = make()
    progress.start("Storing")
    progress.expect(lambda: (1, 1 << 20))
    progress.expect(lambda: (3, 3 << 20))
    clock.seconds += 2
    progress.advance(items=1, size=1 << 20)
    assert err.getvalue().decode() == "\r\x1b[KStoring  1 file  1.0 MiB  512.0 KiB/s"
    for _ in range(2000):
        clock.seconds += 1
        progress.advance()
        if b"1/4 files  1.0 MiB/4.0 MiB" in err.getvalue():
            break
        time.sleep(0.01)  # until the other thread has counted
    assert b"left" in err.getvalue()
    progress.start("Merging")
    clock.seconds += 2
    progress.advance(items=1)
    assert err.getvalue().decode().endswith("\r\x1b[KMerging  1 file  0 files/s")


def test_short_work_is_not_counted():
    progress, clock, _, _ = make()
    asked: list[int] = []
    progress.start("Storing")
    progress.expect(lambda: (asked.append(1) or 1, 1))
    clock.seconds += 0.5
    progress.advance(items=1, size=1)
    progress.finish()
    assert asked == []
