"""Write a git pack and its index, version 2, without deltas: one file instead of one for each object.

The format is that of git's gitformat-pack. Whoever wants it smaller runs `git gc`, which adds the deltas.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from struct import pack

from dsvc.atomic import sync_directory, temporary_name
from dsvc.gitbridge.gittree import Oid

_LEVEL = 1  # of zlib: `git gc` compresses again
_PIECE = 1 << 20
_HEADER = 12
_LARGE_OFFSET = 1 << 31
TYPE_NAMES = {1: b"commit", 2: b"tree", 3: b"blob", 4: b"tag"}


def object_header(kind: int, size: int) -> bytes:
    """Return what git hashes before an object's content."""
    return b"%s %d\0" % (TYPE_NAMES[kind], size)


class GitPack:
    """A pack under construction, in a temporary file beside the finished ones."""

    def __init__(self, folder: Path) -> None:
        """`folder` is the repository's `objects/pack`."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._path = folder / temporary_name("tmp_pack")
        self._file = self._path.open("x+b")
        self._file.write(pack(">4sII", b"PACK", 2, 0))
        self._end = _HEADER
        self._places: dict[Oid, tuple[int, int]] = {}  # offset, CRC-32

    def __len__(self) -> int:
        """Return how many objects it holds."""
        return len(self._places)

    def __contains__(self, oid: Oid) -> bool:
        """Say whether it holds an object."""
        return oid in self._places

    @property
    def size(self) -> int:
        """Its length so far, in bytes."""
        return self._end

    def add(self, kind: int, oid: Oid, data: bytes) -> None:
        """Append an object that is given whole."""
        self._append(oid, (_entry_header(kind, len(data)), zlib.compress(data, _LEVEL)))

    def add_stream(self, kind: int, size: int, pieces: Iterable[bytes], *, known: Callable[[Oid], bool]) -> Oid:
        """Append an object of `size` bytes given in pieces, and return its id; one that is `known` is dropped again."""
        hasher, start = hashlib.sha1(object_header(kind, size), usedforsecurity=False), self._end
        compressor = zlib.compressobj(_LEVEL)

        def parts() -> Iterator[bytes]:
            yield _entry_header(kind, size)
            for piece in pieces:
                hasher.update(piece)
                yield compressor.compress(piece)
            yield compressor.flush()

        crc = self._write(parts())
        oid = hasher.digest()
        if oid in self._places or known(oid):
            self._file.seek(start)
            self._file.truncate()
            self._end = start
        else:
            self._places[oid] = (start, crc)
        return oid

    def read(self, oid: Oid) -> tuple[int, bytes]:
        """Return the type and content of an object that was added."""
        offset = self._places[oid][0]
        self._file.seek(offset)
        first = byte = self._file.read(1)[0]
        while byte & 0x80:
            byte = self._file.read(1)[0]
        inflater = zlib.decompressobj()
        parts = []
        while not inflater.eof:
            parts.append(inflater.decompress(self._file.read(_PIECE)))
        self._file.seek(self._end)
        return first >> 4 & 7, b"".join(parts)

    def objects(self) -> Iterator[tuple[int, bytes]]:
        """Yield (type, content) of everything that was added, in order."""
        for oid in list(self._places):
            yield self.read(oid)

    def finish(self) -> None:
        """Put the pack and then its index in place, durably."""
        self._file.seek(0)
        self._file.write(pack(">4sII", b"PACK", 2, len(self._places)))
        self._file.seek(0)
        hasher = hashlib.sha1(usedforsecurity=False)
        while data := self._file.read(_PIECE):
            hasher.update(data)
        checksum = hasher.digest()
        self._file.seek(self._end)
        self._file.write(checksum)
        self._close_synced()
        name = f"pack-{checksum.hex()}"
        index = self._folder / temporary_name("tmp_idx")
        with index.open("xb") as file:
            file.write(self._index(checksum))
            file.flush()
            os.fsync(file.fileno())
        for path in (self._path, index):
            path.chmod(0o444)
        self._path.replace(self._folder / f"{name}.pack")
        index.replace(self._folder / f"{name}.idx")
        sync_directory(self._folder)

    def abandon(self) -> None:
        """Remove what was written."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    def _close_synced(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def _append(self, oid: Oid, parts: Iterable[bytes]) -> None:
        start = self._end
        self._places[oid] = (start, self._write(parts))

    def _write(self, parts: Iterable[bytes]) -> int:
        crc = 0
        for part in parts:
            self._file.write(part)
            crc = zlib.crc32(part, crc)
            self._end += len(part)
        return crc

    def _index(self, checksum: bytes) -> bytes:
        oids = sorted(self._places)
        fan, at = [], 0
        for first in range(256):
            while at < len(oids) and oids[at][0] <= first:
                at += 1
            fan.append(at)
        large: list[int] = []
        offsets = []
        for oid in oids:
            offset = self._places[oid][0]
            if offset >= _LARGE_OFFSET:
                large.append(offset)
                offset = _LARGE_OFFSET | len(large) - 1
            offsets.append(offset)
        body = b"".join((
            b"\xfftOc\0\0\0\2",
            pack(">256I", *fan),
            *oids,
            pack(f">{len(oids)}I", *(self._places[oid][1] for oid in oids)),
            pack(f">{len(oids)}I", *offsets),
            pack(f">{len(large)}Q", *large),
            checksum,
        ))
        return body + hashlib.sha1(body, usedforsecurity=False).digest()


def _entry_header(kind: int, size: int) -> bytes:
    byte, size = kind << 4 | size & 15, size >> 4
    parts = bytearray()
    while size:
        parts.append(byte | 0x80)
        byte, size = size & 127, size >> 7
    parts.append(byte)
    return bytes(parts)
