"""What a place that keeps a repository must do: immutable blobs by key, and cells that change by compare-and-swap."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from dsvc.errors import BusyError, IntegrityError, RequestError


class BlobMissingError(IntegrityError):
    """A blob that should be there is not."""

    def __init__(self, key: str, place: str) -> None:
        super().__init__(f"{key} is missing from {place}", hint="dsvc fsck", details={"key": key})
        self.key = key


class BlobDamagedError(IntegrityError):
    """A blob is shorter than it should be, or cannot be read."""


class BadKeyError(RequestError):
    """A key that no backend accepts."""


class SwapUncertainError(BusyError):
    """A swap was sent and its outcome is unknown: read the cell and look for your own value."""


class Backend(Protocol):
    """Blobs and cells. Safe for threads of one process and for any number of processes.

    A key is one to four parts of `[a-z0-9._-]`, joined by `/`, none beginning with a dot.
    """

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """Return a blob, or `length` bytes of it from `offset` (fewer only where it ends: then it is damaged).

        Raises:
            BlobMissingError: no such blob. BlobDamagedError: the range lies outside or cannot be read.
        """

    def put(self, key: str, source: bytes | Path) -> None:
        """Store a blob so that it survives a crash, whole or not at all; an existing one of that key is kept.

        A `Path` names a finished file that the backend may move away; afterwards it is gone.
        """

    def missing(self, keys: list[str]) -> list[str]:
        """Return those keys that have no blob, in the given order."""

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Yield (key, bytes) of the blobs whose key begins with `prefix`, in order of keys."""

    def delete(self, key: str) -> None:
        """Remove a blob; one that is not there is no error."""

    def read_cell(self, name: str) -> bytes | None:
        """Return a cell's value, or None where it was never set."""

    def swap_cell(self, name: str, expected: bytes | None, value: bytes) -> bool:
        """Set a cell from `expected` (None: never set) to `value` durably; return False when it holds another value.

        Raises:
            SwapUncertainError: when it is not known whether the swap took place.
        """

    def close(self) -> None:
        """Give back what is held open."""


class TrialPlace(Protocol):
    """A backend that can forget what a trial has written (see `check_trial`). Not every backend is one."""

    def remove_trial(self, name: str) -> None:
        """Remove the blobs below `NAME/` and the cells that begin with `NAME-`; nobody may be writing them.

        Raises:
            BadKeyError: when that is no name of a trial; so nothing else is ever removed this way.
        """


class ClockedPlace(Protocol):
    """A backend whose place has a clock of its own that can be read. Not every backend is one."""

    def clock_skew(self) -> tuple[float, float] | None:
        """Return by how many seconds that clock is ahead of this one, and how wrong that may be; None: unknown."""


class UploadingPlace(Protocol):
    """A backend whose place keeps what arrived of a blob that was cut off. Not every backend is one."""

    def abandoned_uploads(self, *, begun_before: int, dry_run: bool) -> int:
        """Remove the uploads that were begun before that moment (microseconds) and not completed; return how many.

        One that is still going on is begun anew by whoever sends it. With `dry_run` they are only counted.
        """


_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789._-")
_TRIAL = re.compile(r"check-[0-9a-f]{12}", re.ASCII)


def check_key(key: str) -> str:
    """Return `key` when it is a valid one.

    Raises:
        BadKeyError: otherwise; so no key leads out of a backend's place.
    """
    parts = key.split("/")
    if len(parts) > 4 or not all(p and p[0] != "." and _LETTERS.issuperset(p) for p in parts):
        raise BadKeyError(f"{key!r} is not a valid key")
    return key


def check_trial(name: str) -> str:
    """Return `name` when it is one for a trial: `check-` and twelve hexadecimal digits.

    Raises:
        BadKeyError: otherwise.
    """
    if not _TRIAL.fullmatch(name):
        raise BadKeyError(f"{name!r} is not the name of a trial")
    return name
