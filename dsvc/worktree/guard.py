"""Stop before something is committed that nobody meant to: gigabytes of new files, or a private key."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from typing import Protocol

from dsvc.contents.kinds import looks_like_private_key
from dsvc.errors import RequestError

_SHOWN = 12
HEAD_BYTES = 16 << 10


class NeedsConfirmationError(RequestError):
    """New files that a commit would take need a word from whoever commits."""

    def __init__(
        self,
        files: Sequence[tuple[bytes, int]],
        *,
        limit: int | None = None,
        reasons: Mapping[bytes, str] | None = None,
    ) -> None:
        """`limit` is that of the size, where it is passed; `reasons` say which of the files look like which secret."""
        reasons = reasons or {}
        files = sorted(files, key=lambda f: (f[0] not in reasons, -f[1]))
        looks = "" if limit is None else "looks like "
        told = {path: f" ({looks}{reason})" for path, reason in reasons.items()} if looks or len(files) > 1 else {}
        lines = "".join(
            f"\n  {_size(size):>9}  {os.fsdecode(path)}{told.get(path, '')}" for path, size in files[:_SHOWN]
        )
        more = f"\n  and {len(files) - _SHOWN} more" if len(files) > _SHOWN else ""
        total = sum(size for _, size in files)
        one = len(files) == 1
        if limit is not None:
            count = "1 new file has" if one else f"{len(files)} new files have"
            together = "" if one else " together"
            what = f"{count} {_size(total)}{together}, more than commit.confirm ({_size(limit)}):"
        elif one:
            what = f"this new file looks like {next(iter(reasons.values()))}:"
        else:
            what = f"{len(files)} new files look like secrets:"
        super().__init__(
            f"{what}{lines}{more}",
            hint="add them on purpose with 'dsvc add PATH', commit with --yes, or name them in .dsvcignore",
            details={"paths": [os.fsdecode(path) for path, _ in files], "bytes": total},
        )
        self.limit, self.reasons = limit, {} if limit is not None else reasons


class Watch(Protocol):
    """What is told of new files while they are stored."""

    def new_file(self, path: bytes, size: int) -> None:
        """Take note of a new file before it is read."""

    def content(self, path: bytes, head: bytes) -> None:
        """Take note of the first bytes of a new file."""


class KeysNoted:
    """Notes which new files look like private keys, in `found`, and stops nothing."""

    __slots__ = ("found",)

    def __init__(self) -> None:
        self.found: dict[bytes, str] = {}

    def new_file(self, path: bytes, size: int) -> None:
        """Take no note of sizes."""

    def content(self, path: bytes, head: bytes) -> None:
        """Look at the first bytes of a new file."""
        reason = looks_like_private_key(head, path.rpartition(b"/")[2])
        if reason is not None:
            self.found[path] = reason


class Guard:
    """Watches the new files of one commit."""

    __slots__ = ("_limit", "_seen")

    def __init__(self, limit: int) -> None:
        self._limit, self._seen = limit, 0

    def new_file(self, path: bytes, size: int) -> None:
        """Count a new file before it is read.

        Raises:
            NeedsConfirmationError: when together they pass the limit.
        """
        self._seen += size
        if self._seen > self._limit:
            raise NeedsConfirmationError([(path, size)], limit=self._limit)

    def content(self, path: bytes, head: bytes) -> None:
        """Look at the first bytes of a new file.

        Raises:
            NeedsConfirmationError: when it looks like a private key.
        """
        reason = looks_like_private_key(head, path.rpartition(b"/")[2])
        if reason is not None:
            raise NeedsConfirmationError([(path, len(head))], reasons={path: reason})


def secret_in(place: bytes) -> str | None:
    """Say which secret a file on disk seems to hold; None where it holds none, is no file or cannot be read."""
    try:
        if not stat.S_ISREG(os.lstat(place).st_mode):
            return None
        with open(place, "rb", buffering=0) as file:
            return looks_like_private_key(file.read(HEAD_BYTES), os.path.basename(place))
    except OSError:
        return None


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
