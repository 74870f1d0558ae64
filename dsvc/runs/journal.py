"""The journal of a run: a folder of its own in the working copy's private folder, from the begin to the record.

It outlives whatever happens to the process: the record is made from what lies here, by the process that ran it or, when
that was killed, by the next command. See docs/formats/run.md.

    lock      held by an open file of the process that owns the run, as long as it lives
    begin     what is known at the begin: a value
    end       how it ended: a value; it is missing for a run that is lost
    room      what becomes of it on a full disk: as many bytes as it may need
    events-*  what was logged, by one process each: msgpack, one event after the other
    opens-*   which files were opened (dsvc.runs.opens)
    concurrent   another run went on in the same working copy
    trace     what strace wrote
    stdout, stderr   what was written
    notebook, order  a notebook with its outputs, and what was to be executed
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import msgpack

from dsvc.atomic import write_file
from dsvc.objects import codec
from dsvc.objects.codec import BadEncodingError, Value
from dsvc.runs.names import KEY_LENGTH, RunKey

FOLDER: Final = "runs"
EVENTS: Final = "events-"
CONCURRENT: Final = "concurrent"
ROOM: Final = "room"
POINTS: Final = "points"  # name of the events of series
_ROOM = 8 << 10
_STEP = 1 << 20  # bytes of events after which the room on the disk is looked at, and that stay free
_BIG = 1  # extension type: decimal text of an integer beyond 64 bits
_PIECE = 1 << 20
_ATTEMPTS = 100


@dataclass(slots=True)
class Journal:
    """The folder of a run that this process owns, until `release`."""

    path: Path
    key: RunKey
    _lock: IO[bytes] | None = None

    def write_begin(self, facts: Mapping[str, object]) -> None:
        """Write down what is known at the begin, and keep room for what is to be said at the end.

        Raises:
            OSError: when the disk refuses.
        """
        write_file(self.path / ROOM, bytes(_ROOM), durable=False)
        write_file(self.path / "begin", codec.encode(facts), durable=False)

    def write_end(self, facts: Mapping[str, object]) -> None:
        """Write down how it ended, on a full disk in the room that was kept for it; raises as `write_begin`."""
        data = codec.encode(facts)
        try:
            write_file(self.path / "end", data, durable=False)
        except OSError:
            if len(data) > _ROOM:
                raise
            fd = os.open(self.path / ROOM, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.pwrite(fd, data, 0)
                os.ftruncate(fd, len(data))
            finally:
                os.close(fd)
            os.replace(self.path / ROOM, self.path / "end")

    def begin(self) -> dict[str, Value] | None:
        """Return what was known at the begin, None where it was not written down."""
        return _read(self.path / "begin")

    def end(self) -> dict[str, Value] | None:
        """Return how it ended, None where it was not written down."""
        return _read(self.path / "end")

    def note_others(self, ancestors: frozenset[bytes]) -> None:
        """Note here and there that other runs go on at the same time in this working copy, but for the ancestors."""
        for other in running(self.path.parent):
            if other.key != self.key and other.key not in ancestors:
                for path in (self.path, other.path):
                    with suppress(OSError):
                        (path / CONCURRENT).touch()

    @property
    def had_company(self) -> bool:
        """Whether another run went on at the same time."""
        return (self.path / CONCURRENT).exists()

    def release(self) -> None:
        """Let others take the run over; a process that ends does so by itself."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def remove(self) -> None:
        """Remove the folder, and that of all journals with the last one: the record is published, or shall not be."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.release()
        with suppress(OSError):
            self.path.parent.rmdir()


def create_journal(folder: Path, key: RunKey) -> Journal:
    """Make the journal of a run in the folder of all journals.

    Raises:
        OSError: when the disk refuses; nothing is left then.
    """
    path = folder / key.hex()
    for _ in range(_ATTEMPTS):
        folder.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # another run that has ended here took the folder away
            path.mkdir()
            break
    try:
        lock = open(path / "lock", "wb")  # noqa: SIM115 - it is held as long as the run goes on
        with suppress(OSError):  # where the disk knows no locks, only one process should work
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        shutil.rmtree(path, ignore_errors=True)
        raise
    return Journal(path, key, lock)


def journal_around(environment: Mapping[str, str]) -> Path | None:
    """Return the journal of the `dsvc run` that started this process, None where there is none."""
    path = environment.get("DSVC_RUN")
    if not path:
        return None
    name = os.path.basename(path)
    try:
        is_key = len(bytes.fromhex(name)) == KEY_LENGTH
    except ValueError:
        return None
    return Path(path) if is_key and os.path.isdir(path) else None


def take_over(folder: Path, *, own: frozenset[bytes] = frozenset()) -> Iterator[Journal]:
    """Yield the journals that no process holds any more, each one held now; not those of `own` keys."""
    for key, path in _journals(folder):
        if key in own:
            continue
        try:
            lock = open(path / "lock", "ab")  # noqa: SIM115 - see above
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        except OSError:
            pass
        if not path.is_dir():  # whoever held it has removed it
            lock.close()
            continue
        yield Journal(path, key, lock)


def left_behind(folder: Path) -> bool:
    """Say whether there is a journal that no process holds any more; an empty folder of journals is removed."""
    for journal in take_over(folder):
        journal.release()
        return True
    with suppress(OSError):
        folder.rmdir()
    return False


def running(folder: Path) -> list[Journal]:
    """Return the journals of runs that are under way, for reading alone."""
    found = []
    for key, path in _journals(folder):
        with suppress(OSError), open(path / "lock", "ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                found.append(Journal(path, key))
    return found


def _journals(folder: Path) -> Iterator[tuple[RunKey, Path]]:
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return
    for name in names:
        with suppress(ValueError):
            key = bytes.fromhex(name)
            if len(key) == KEY_LENGTH:
                yield RunKey(key), folder / name


def _read(path: Path) -> dict[str, Value] | None:
    try:
        value = codec.decode(path.read_bytes())
    except (FileNotFoundError, BadEncodingError):
        return None
    return value if isinstance(value, dict) else None


class EventLog:
    """Appends events to a file of this process; each is one write, so that a killed process loses none."""

    def __init__(self, journal: Path, *, name: str = "") -> None:
        self._journal = journal
        self._name = name
        self._token = os.urandom(4).hex()  # one a log: threads whose first events meet write to one file, in order
        self._fd = -1
        self._pid = 0
        self._written = self._unchecked = 0
        self._is_short = False

    def append(self, event: Sequence[object]) -> None:
        """Append an event: its name, then what it says.

        Points of series leave twice the room on the disk that they take: the record is made beside the journal.

        Raises:
            OSError: when the disk refuses, or has no room left for points. ValueError, TypeError, OverflowError: for a
                value that is not storable.
        """
        if self._unchecked > _STEP:
            self._look_for_room()
        if self._is_short and event[0] == POINTS:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self._pid != os.getpid():  # the first one, or a process that was forked
            name = self._name or f"{EVENTS}{os.getpid()}-{self._token}"
            self._fd = os.open(self._journal / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
            self._pid = os.getpid()
        count = os.write(self._fd, msgpack.packb(event, use_bin_type=True, default=_extended))
        self._written += count
        self._unchecked += count

    def _look_for_room(self) -> None:
        self._unchecked = 0
        with suppress(OSError):
            disk = os.fstatvfs(self._fd)
            self._is_short = disk.f_bavail * disk.f_frsize < 2 * self._written + _STEP

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0 and self._pid == os.getpid():
            os.close(self._fd)
        self._fd, self._pid = -1, 0


def read_events(path: Path) -> Iterator[tuple[Value, ...]]:
    """Yield the events of a run, of one process after the other; a torn one at the end of a file is left out."""
    for name in sorted(os.listdir(path)):
        if name.startswith(EVENTS):
            with open(path / name, "rb") as file:
                yield from _unpacked(file)


def _unpacked(file: IO[bytes]) -> Iterator[tuple[Value, ...]]:
    unpacker = msgpack.Unpacker(use_list=False, raw=False, ext_hook=_plain, max_buffer_size=64 << 20)
    with suppress(ValueError, msgpack.UnpackException):
        while data := file.read(_PIECE):
            unpacker.feed(data)
            for event in unpacker:
                if isinstance(event, tuple) and event and isinstance(event[0], str):
                    yield event


def _extended(value: object) -> object:
    if isinstance(value, int):
        return msgpack.ExtType(_BIG, str(value).encode())
    raise TypeError(f"{type(value).__name__} is no storable value")


def _plain(code: int, data: bytes) -> Value:
    return int(data) if code == _BIG and len(data) <= codec.MAX_DIGITS else None
