"""What the disk under a folder can do, found out by trying."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dsvc.atomic import temporary_name
from dsvc.storage.cloning import clone_file
from dsvc.worktree.names import tells_names_apart

_PROBE = 1_234_567_891_234_567_891  # a time in nanoseconds without a round digit at its end
_ESCAPES = ((r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", "\\"))


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a disk can do; `time_step` is the step of its file times in nanoseconds."""

    names_apart: bool
    hard_links: bool
    reflinks: bool
    symlinks: bool
    executable_bit: bool
    time_step: int


def probe(folder: Path) -> Abilities:
    """Try what the disk that holds `folder` can do, in a folder of its own that is removed again.

    Raises:
        OSError: when nothing can be written there.
    """
    place = folder / temporary_name("probe")
    place.mkdir(parents=True)
    try:
        file = place / "file"
        file.write_bytes(b"probe")
        return Abilities(
            names_apart=tells_names_apart(place),
            hard_links=_works(lambda: os.link(file, place / "hard")),
            reflinks=_works(lambda: _clone(file, place / "clone")),
            symlinks=_works(lambda: os.symlink("file", place / "soft")),
            executable_bit=_keeps_executable(file),
            time_step=_time_step(file),
        )
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _works(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except OSError:
        return False
    return True


def _clone(source: Path, target: Path) -> None:
    with open(source, "rb") as read, open(target, "xb") as write:
        clone_file(read.fileno(), write.fileno())


def _keeps_executable(file: Path) -> bool:
    before = file.stat().st_mode & 0o100
    with contextlib.suppress(OSError):
        file.chmod(0o755)
        return not before and bool(file.stat().st_mode & 0o100)
    return False


def _time_step(file: Path) -> int:
    os.utime(file, ns=(_PROBE, _PROBE))
    kept = file.stat().st_mtime_ns
    for step in (1, 100, 1_000, 1_000_000, 10_000_000, 1_000_000_000):
        if _PROBE - kept < step:
            return step
    return 2_000_000_000


def file_system_of(folder: Path) -> str | None:
    """Return the type of the file system that holds a folder, None where the system does not tell."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    path = os.path.realpath(folder)
    best, found = -1, None
    for line in lines:
        left, _, right = line.partition(" - ")
        mount = left.split(" ")[4]
        for escape, character in _ESCAPES:
            mount = mount.replace(escape, character)
        if (path == mount or path.startswith(mount.rstrip("/") + "/")) and len(mount) >= best:
            best, found = len(mount), right.split(" ")[0]
    return found
