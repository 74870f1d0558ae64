"""Which datasets are mounted where, by the kernel's own list."""

from __future__ import annotations

import os
import re
from pathlib import Path

_KINDS = ("zfs", "fuse.zfs")
_OCTAL = re.compile(rb"\\([0-7]{3})")


def mounted() -> dict[Path, str]:
    """Return the datasets by the folders at which they are mounted; of several at one folder the topmost. proc(5)."""
    found: dict[Path, str] = {}
    for line in Path("/proc/self/mountinfo").read_bytes().splitlines():
        before, _, after = line.partition(b" - ")
        fields, (kind, source, *_) = before.split(b" "), after.split(b" ")
        folder = Path(os.fsdecode(_plain(fields[4])))
        if os.fsdecode(kind) in _KINDS:
            found[folder] = os.fsdecode(_plain(source))
        else:
            found.pop(folder, None)
    return found


def _plain(field: bytes) -> bytes:
    return _OCTAL.sub(lambda match: bytes([int(match[1], 8)]), field)
