"""Git LFS pointers and the folder of objects that they point into.

The pointer format is that of the Git LFS specification, version 1: lines of `key SP value LF`, `version` first, the
others sorted, `oid sha256:` and `size` among them.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from dsvc.atomic import sync_directory, temporary_name
from dsvc.errors import IntegrityError, RequestError

LFS_THRESHOLD = 10 << 20  # bytes; the default above which new files become pointers
MAX_POINTER = 1024  # bytes; anything longer is content
_PIECE = 1 << 20
_VERSION = b"version https://git-lfs.github.com/spec/v1\n"
_POINTER = re.compile(
    rb"version https://(?:git-lfs\.github\.com|hawser\.github\.com)/spec/v1\r?\n"
    rb"(?:ext-[0-9]-[^\n]*\n)*oid sha256:([0-9a-f]{64})\r?\nsize ([0-9]{1,19})\s*"
)


class LfsMissingError(RequestError):
    """Objects that LFS pointers name are not there."""


class LfsDamagedError(IntegrityError):
    """An LFS object has other bytes than its pointer says."""


class Pointer(NamedTuple):
    """What an LFS pointer names: the SHA-256 of the content as hex, and its length in bytes."""

    sha256: str
    size: int

    def encode(self) -> bytes:
        """Return the pointer file as git-lfs writes it."""
        return _VERSION + f"oid sha256:{self.sha256}\nsize {self.size}\n".encode()


def parse_pointer(data: bytes) -> Pointer | None:
    """Return the pointer that a small file holds, or None for any other file."""
    if len(data) > MAX_POINTER or not data.startswith(b"version https://"):
        return None
    found = _POINTER.fullmatch(data)
    return Pointer(found[1].decode(), int(found[2])) if found else None


class LfsObjects(NamedTuple):
    """The LFS objects of one git repository: `folder` is `lfs/objects` in its common git folder.

    With `dry` nothing is stored: writing tells the pointer only.
    """

    folder: Path
    dry: bool = False

    def path(self, sha256: str) -> Path:
        """Return where an object lies or would lie."""
        return self.folder / sha256[:2] / sha256[2:4] / sha256

    def has(self, pointer: Pointer) -> bool:
        """Say whether the object is there with its length."""
        try:
            return self.path(pointer.sha256).stat().st_size == pointer.size
        except OSError:
            return False

    def read_into(self, pointer: Pointer, take: Callable[[Callable[[int], bytes]], tuple[bytes, int]]) -> bytes:
        """Give a reader of the object's bytes to `take`, which returns (file id, length); return the file id.

        Raises:
            LfsMissingError: when it is not there. LfsDamagedError: when its bytes do not match the pointer.
        """
        hasher = hashlib.sha256()
        path = self.path(pointer.sha256)
        try:
            with path.open("rb") as file:

                def read(size: int) -> bytes:
                    data = file.read(size)
                    hasher.update(data)
                    return data

                file_id, length = take(read)
        except FileNotFoundError as error:
            raise missing_error([pointer.sha256]) from error
        if hasher.hexdigest() != pointer.sha256 or length != pointer.size:
            raise LfsDamagedError(
                f"the LFS object {path} does not have the content that its name says", hint="git lfs fsck"
            )
        return file_id

    def write(self, pieces: Iterable[bytes]) -> Pointer:
        """Store an object that is given in pieces, durably; return its pointer. One that is there is kept."""
        hasher, size = hashlib.sha256(), 0
        if self.dry:
            for piece in pieces:
                hasher.update(piece)
                size += len(piece)
            return Pointer(hasher.hexdigest(), size)
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self.folder / temporary_name("object")
        try:
            with temporary.open("xb") as file:
                for piece in pieces:
                    hasher.update(piece)
                    size += len(piece)
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            pointer = Pointer(hasher.hexdigest(), size)
            if self.has(pointer):
                temporary.unlink()
            else:
                path = self.path(pointer.sha256)
                path.parent.mkdir(parents=True, exist_ok=True)
                temporary.replace(path)
                sync_directory(path.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        return pointer


def missing_error(names: Iterable[str]) -> LfsMissingError:
    """Return the error for these objects (or `path (object)` texts), which are all named in its details."""
    listed = sorted(set(names))
    shown = ", ".join(listed[:20]) + (f" and {len(listed) - 20} more" if len(listed) > 20 else "")
    return LfsMissingError(
        f"{len(listed)} LFS objects are not in the git repository: {shown}",
        hint="git lfs fetch --all",
        details={"missing": listed},
    )
