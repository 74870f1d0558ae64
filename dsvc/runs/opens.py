"""Read what was observed of a run: which files were opened, when first, for what, and by how many processes."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

PREFIX = "opens-"
_MOST = 2_000_000  # paths; what is beyond is not an honest program


@dataclass(slots=True)
class Opened:
    """Files that a run opened: absolute path to the first time, nanoseconds since 1970 or a little earlier.

    A file that a run wrote before it first read it is not among `read`. `removed` are those that went, and that did not
    come back later. `programs` are names of other programs that were started, whose files were not seen.
    """

    read: dict[bytes, int] = field(default_factory=dict)
    written: dict[bytes, int] = field(default_factory=dict)
    removed: set[bytes] = field(default_factory=set)
    programs: set[bytes] = field(default_factory=set)
    processes: int = 0

    def note(self, letter: int, path: bytes, time: int) -> None:
        """Take a note in, of a time at or after all others of its file."""
        if letter in b"rb" and path not in self.read:
            earlier = self.written.get(path)
            if earlier is None or earlier > time:
                self.read[path] = time
        if letter in b"wb":
            self.written.setdefault(path, time)
            self.removed.discard(path)
        elif letter == ord("d"):
            self.removed.add(path)


def read_opens(folder: Path) -> Opened:
    """Return what the interpreters of a run have noted in its folder; what is torn or no note is passed over."""
    found = Opened()
    processes: set[bytes] = set()
    notes: list[tuple[int, int, bytes]] = []
    for name in sorted(os.listdir(folder)):
        if not name.startswith(PREFIX):
            continue
        time = 0
        for note in (folder / name).read_bytes().split(b"\0"):
            if not note:
                break
            letter, text = note[0], note[1:]
            if letter == ord("t"):
                time = int(text) if text.isdigit() else time
            elif letter == ord("p"):
                processes.add(text)
            elif letter == ord("x"):
                found.programs.add(text)
            elif letter in b"rwbd" and text.startswith(b"/") and len(notes) < _MOST:
                notes.append((time, letter, source_of(text)))
    notes.sort(key=lambda note: note[0])
    for time, letter, path in notes:
        found.note(letter, path, time)
    found.processes = len(processes)
    return found


def source_of(path: bytes) -> bytes:
    """Return a path in its normal form; for a compiled Python module that of its source."""
    if path.endswith(b".pyc"):
        folder, _, name = path.rpartition(b"/")
        if folder.endswith(b"/__pycache__"):
            path = folder.removesuffix(b"__pycache__") + name.partition(b".")[0] + b".py"
    return os.path.normpath(path)
