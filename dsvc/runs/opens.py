"""Read what was observed of a run: which files were opened, when first, for what, and by how many processes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PREFIX = "opens-"
_TIME, _PROCESS, _PROGRAM, _FOLDER, _WATCHED, _UNWATCHED = 1, 6, 7, 8, 9, 10
_READ_ELSEWHERE, _WRITTEN_ELSEWHERE = 11, 12
_LETTERS = {2: ord("w"), 3: ord("b"), 4: ord("d"), 5: ord("r")}
_END = 1 << 63
_MOST = 2_000_000  # paths; what is beyond is not an honest program
# What lies here, or ends so, belongs to the machine or to the environment, and is no data.
_SYSTEM = (b"/bin/", b"/dev/", b"/etc/", b"/lib", b"/proc/", b"/run/", b"/sbin/", b"/sys/", b"/usr/", b"/var/")
_CODE = (b".py", b".pyc", b".pyd", b".pth", b".so", b".zip", b".egg")
_FOLDERS = frozenset((b".dsvc", b".git", b"site-packages", b"dist-packages", b"__pycache__", b"pyvenv.cfg"))


@dataclass(slots=True)
class Opened:
    """Files that a run opened, by their absolute paths; times are nanoseconds since 1970.

    `read` says not before when a file was first opened for reading, `until` not after when. A file that a run
    surely wrote before it read it is not among them. `written` says when it was first opened for writing. `removed` are
    those that went, and that did not come back later. `programs` are names of other programs that were started, whose
    files were not seen. `libraries` read files in native code: whether that was seen, too. What lies outside of the
    roots, looks like data, and is there at the end is named in `read_elsewhere` and `written_elsewhere`.
    """

    read: dict[bytes, int] = field(default_factory=dict)
    until: dict[bytes, int] = field(default_factory=dict)
    written: dict[bytes, int] = field(default_factory=dict)
    removed: set[bytes] = field(default_factory=set)
    programs: set[bytes] = field(default_factory=set)
    libraries: dict[bytes, bool] = field(default_factory=dict)
    read_elsewhere: set[bytes] = field(default_factory=set)
    written_elsewhere: set[bytes] = field(default_factory=set)
    processes: int = 0

    def take(self, notes: list[Note]) -> None:
        """Take notes in."""
        for first, last, letter, path in sorted(notes, key=lambda note: note[0]):
            if letter in b"rb" and path not in self.read:
                earlier = self.written.get(path)
                if earlier is None or earlier > first:
                    self.read[path], self.until[path] = first, last
            if letter in b"wb":
                self.written.setdefault(path, first)
                self.removed.discard(path)
            elif letter == ord("d"):
                self.removed.add(path)

    def take_elsewhere(self, letter: int, path: bytes) -> None:
        """Take a path outside of the roots, if it may be data."""
        into = self.written_elsewhere if letter in b"wb" else self.read_elsewhere
        if letter != ord("d") and path not in into and _may_be_data(path):
            into.add(path)

    def are_declared(self, paths: Iterable[bytes]) -> None:
        """Take these files and folders, and what lies in them, out of what was met elsewhere."""
        files = frozenset(paths)
        folders = tuple(path.rstrip(b"/") + b"/" for path in files)
        for names in (self.read_elsewhere, self.written_elsewhere):
            names.difference_update([name for name in names if name in files or name.startswith(folders)])


def _may_be_data(path: bytes) -> bool:
    home = os.fsencode(os.path.expanduser("~/."))
    odd = path.startswith((*_SYSTEM, home)) or path.endswith(_CODE) or b".so." in os.path.basename(path)
    return not odd and _FOLDERS.isdisjoint(path.split(b"/")) and os.path.isfile(path)


Note = tuple[int, int, int, bytes]  # not before, not after, a letter (r, w, b for both, d for removed), path


def read_opens(folder: Path, roots: Sequence[bytes]) -> Opened:
    """Return what the interpreters of a run have noted in its folder of files below the `roots`.

    What is torn or no note is passed over.
    """
    found = Opened()
    wanted = tuple(root.rstrip(b"/") + b"/" for root in roots)
    hidden = tuple(root + name for root in wanted for name in (b".dsvc/", b".git/"))
    processes: dict[bytes, tuple[bytes, set[bytes]]] = {}  # their parents, and names under which they were started
    started: Counter[bytes] = Counter()
    notes: list[Note] = []
    for name in sorted(os.listdir(folder)):
        if not name.startswith(PREFIX):
            continue
        time, here = 0, b"/"
        waiting: list[tuple[int, bytes]] = []
        for note in (folder / name).read_bytes().split(b"\0"):
            kind, text = (note[0], note[1:]) if note else (0, b"")
            if kind == _TIME and text.isdigit():
                notes += [(time, int(text) - 1, letter, path) for letter, path in waiting]
                time, waiting = int(text), []
            elif kind == _PROCESS:
                numbers, *names = text.split(b"/")
                number, _, parent = numbers.partition(b" ")
                processes.setdefault(number, (parent, set()))[1].update(names)
            elif kind == _PROGRAM:
                started[text] += 1
            elif kind == _FOLDER:
                here = text
            elif kind in (_READ_ELSEWHERE, _WRITTEN_ELSEWHERE):
                found.take_elsewhere(ord("r" if kind == _READ_ELSEWHERE else "w"), os.path.normpath(text))
            elif kind in (_WATCHED, _UNWATCHED):
                found.libraries[text] = kind == _WATCHED
            elif note and len(notes) < _MOST:
                letter = _LETTERS.get(kind, ord("r"))
                path = source_of(os.path.join(here, text if kind in _LETTERS else note))
                if not (path in roots or path.startswith(wanted)):
                    found.take_elsewhere(letter, path)
                elif not path.startswith(hidden):
                    waiting.append((letter, path))
        notes += [(time, _END, letter, path) for letter, path in waiting]
    found.take(notes)
    # A program that was started is an interpreter that was observed, when there are as many of these.
    observed = Counter(name for parent, names in processes.values() if parent in processes for name in names)
    found.programs = {name for name, count in started.items() if observed[name] < count}
    found.processes = len(processes)
    return found


def source_of(path: bytes) -> bytes:
    """Return a path in its normal form; for a compiled Python module that of its source."""
    if path.endswith(b".pyc"):
        folder, _, name = path.rpartition(b"/")
        if folder.endswith(b"/__pycache__"):
            path = folder.removesuffix(b"__pycache__") + name.partition(b".")[0] + b".py"
    return os.path.normpath(path)
