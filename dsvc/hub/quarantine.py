"""Packs of one account for one repository that were uploaded and are not published: nobody else sees them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Collection, Iterable
from pathlib import Path

from dsvc.atomic import sync_directory
from dsvc.storage.local import LocalBackend

KEPT = 7 * 24 * 3600  # seconds that something lies here untouched before it goes


class Quarantine(LocalBackend):
    """A folder with packs and with uploads that have not arrived whole."""

    def __init__(self, root: Path) -> None:
        """Make the folder."""
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        super().__init__(root)

    @property
    def held(self) -> Path:
        """Where connections keep what they are at work on; see `dsvc.hub.held`."""
        return self.root / "held"

    def usage(self) -> tuple[int, int]:
        """Return how many files there are and how many bytes they have, also of uploads that were broken off."""
        count = size = 0
        held = (path / "packs" for path in _files(self.held))
        for folder in (self.root / "packs", self.root / "tmp", *held):
            for path in _files(folder):
                with contextlib.suppress(FileNotFoundError):
                    status = path.stat()
                    if folder.parent != self.root and status.st_nlink > 1:
                        continue  # it is in quarantine, or is listed
                    size += status.st_size
                    count += 1
        return count, size

    def has(self, key: str) -> bool:
        """Say whether a pack is here."""
        return not self.missing([key])

    def release(self, keys: Iterable[str], pool: LocalBackend) -> None:
        """Let packs be in a pool's folder too, durably; they stay here until they are deleted."""
        target = pool.root / "packs"
        target.mkdir(exist_ok=True)
        for key in keys:
            with contextlib.suppress(FileExistsError):  # of a push that went as far as this: the same index, verified
                os.link(self.root / key, pool.root / key)
        sync_directory(target)

    def clean(self, *, before: float | None = None, keep: Collection[str] = ()) -> None:
        """Remove what nobody came back for within a week, or all that is older than `before` (seconds since 1970).

        Packs whose keys are in `keep` stay, and so does an upload that is under way.
        """
        limit = time.time() - KEPT if before is None else before
        for folder in ("packs", "tmp"):
            for path in _files(self.root / folder):
                with contextlib.suppress(OSError):  # somebody else removed it, or writes to it
                    if path.stat().st_mtime < limit and f"{folder}/{path.name}" not in keep and not _is_busy(path):
                        path.unlink()
        for held in _files(self.held):
            with contextlib.suppress(OSError):
                if held.stat().st_mtime < time.time() - KEPT:  # of a connection that was killed
                    shutil.rmtree(held, ignore_errors=True)


def _is_busy(path: Path) -> bool:
    with open(path, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _files(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        return []
