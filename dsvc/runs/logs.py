"""The output of a command as it is kept: appended to a file, with credentials masked, and without ever failing.

It never takes the room in which the record is made: what is kept is stored once more, beside its file.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from dsvc.runs.masking import StreamMasker

_ROOM = 1 << 20  # bytes of output after which the room on the disk is looked at, and that stay free


class LogFile:
    """A file that takes all output of one stream; `dropped` bytes did not fit on the disk."""

    def __init__(self, path: Path, secrets: Sequence[str]) -> None:
        """Make the file.

        Raises:
            OSError: when the disk refuses.
        """
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        self._masker = StreamMasker(secrets)
        self.dropped = 0
        self._kept = self._unchecked = 0

    def write(self, data: bytes) -> None:
        """Append what was written; on a full disk it is counted as dropped, and the command goes on."""
        self._append(self._masker.feed(data))

    def close(self) -> None:
        """Append what was held back and close the file."""
        if self._fd >= 0:
            self._append(self._masker.finish())
            with suppress(OSError):
                os.close(self._fd)
            self._fd = -1

    def _append(self, data: bytes) -> None:
        view = memoryview(data)
        while view and not self.dropped and self._has_room():  # a gap would be worse than a missing end
            try:
                count = os.write(self._fd, view[:_ROOM])
            except OSError:
                break
            view = view[count:]
            self._kept += count
            self._unchecked += count
        self.dropped += len(view)

    def _has_room(self) -> bool:
        if self._unchecked < _ROOM:
            return True
        self._unchecked = 0
        with suppress(OSError):
            disk = os.fstatvfs(self._fd)
            return disk.f_bavail * disk.f_frsize > 2 * self._kept + _ROOM  # both streams may be as long
        return True
