"""Large files that the store keeps whole, in files of its own beside its packs. docs/formats/parted-pack.md.

On a disk that clones files such a file shares its blocks with the working copy's; elsewhere it can be one file under
two names, where the user asked for that. The store's file never is one that a program may write to.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dsvc.errors import IntegrityError
from dsvc.objects.ids import Kind
from dsvc.storage.parts import NAMELESS, PartedBlob, parted

if TYPE_CHECKING:
    from dsvc.objects.packref import PackRef
    from dsvc.objects.packs import PackSet

Link = Literal["reflink", "hardlink"]  # the latter where the disk cannot do the former
LARGE = 8 << 20  # bytes from which on a file is worth a file of its own
NAMED = "whole"  # what the names of unfinished ones begin with


def whole_file(packs: PackSet, file_id: bytes) -> Path | None:
    """Return where a file lies that the store keeps whole, as it was when it was stored; None where there is none.

    Nothing of it is read: that it was not written to is judged by its size and time.
    """
    try:
        for ref, _ in packs.find_every(file_id, Kind.FILE_MAP):
            blob = parted(packs.backend, ref.key)
            if blob is None:
                continue
            with contextlib.closing(blob):
                for number, part in enumerate(blob.parts):
                    if part.id == file_id and blob.untouched(number):
                        return blob.path(number)
    except IntegrityError:
        pass
    return None


def whole_files(packs: PackSet, ref: PackRef) -> Iterator[tuple[bytes, Path, PartedBlob]]:
    """Yield (id, path, blob) of the files that a pack keeps whole.

    Raises:
        BlobDamagedError: when the pack's list of its parts cannot be used.
    """
    blob = parted(packs.backend, ref.key)
    if blob is not None:
        with contextlib.closing(blob):
            for number, part in enumerate(blob.parts):
                if part.id != NAMELESS:
                    yield part.id, blob.path(number), blob


def is_parted(packs: PackSet, ref: PackRef) -> bool:
    """Say whether a pack has whole files."""
    blob = parted(packs.backend, ref.key)
    if blob is None:
        return False
    blob.close()
    return True


def seal(fd: int) -> None:
    """Let nobody write to a file of the store by mistake."""
    os.fchmod(fd, 0o444)
