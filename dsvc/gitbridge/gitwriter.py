"""Git objects on their way into a repository."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from dsvc.gitbridge.gitsource import GitSource
from dsvc.gitbridge.gittree import Oid
from dsvc.gitbridge.lfs import LfsObjects
from dsvc.gitbridge.packfile import GitPack, object_header

_PACK_OBJECTS = 200_000
_PACK_BYTES = 1 << 30
_UNPACK = 100  # objects; fewer are written as loose ones, as git does


class GitWriter:
    """Objects over those that a repository has; readable at once, for others after `flush`.

    A rehearsal writes into a folder of its own and is abandoned: it tells which ids an export would give.
    """

    def __init__(self, source: GitSource, folder: Path, *, lfs: LfsObjects, rehearsal: bool = False) -> None:
        """Packs are made in `folder`, the repository's `objects/pack` unless it is a rehearsal."""
        self.lfs = lfs
        self._source = source
        self._folder = folder
        self._rehearsal = rehearsal
        self._pack: GitPack | None = None

    def has(self, oid: Oid) -> bool:
        """Say whether an object is there or on its way."""
        return (self._pack is not None and oid in self._pack) or self._source.has(oid)

    def read(self, oid: Oid) -> bytes:
        """Return an object's content."""
        if self._pack is not None and oid in self._pack:
            return self._pack.read(oid)[1]
        return self._source.read(oid)

    def size(self, oid: Oid) -> int:
        """Return an object's length."""
        if self._pack is not None and oid in self._pack:
            return len(self._pack.read(oid)[1])
        return self._source.size(oid)

    def write(self, kind: int, data: bytes) -> Oid:
        """Store an object and return its id."""
        hasher = hashlib.sha1(object_header(kind, len(data)), usedforsecurity=False)
        hasher.update(data)
        oid = hasher.digest()
        if not self.has(oid):
            self._writer().add(kind, oid, data)
        return oid

    def write_stream(self, kind: int, size: int, pieces: Iterable[bytes]) -> Oid:
        """Store an object of `size` bytes that is given in pieces, and return its id."""
        return self._writer().add_stream(kind, size, pieces, known=self._source.has)

    def flush(self) -> None:
        """Make everything that was written durable and readable for git."""
        held, self._pack = self._pack, None
        if held is None:
            return
        if len(held) >= _UNPACK:
            held.finish()
            return
        try:
            for kind, data in held.objects():
                self._source.git.odb.write(kind, data)
        finally:
            held.abandon()

    def abandon(self) -> None:
        """Drop what was not flushed."""
        if self._pack is not None:
            self._pack.abandon()
            self._pack = None

    def _writer(self) -> GitPack:
        held = self._pack
        if held is not None and (len(held) >= _PACK_OBJECTS or held.size >= _PACK_BYTES) and not self._rehearsal:
            self.flush()
        if self._pack is None:
            self._pack = GitPack(self._folder)
        return self._pack
