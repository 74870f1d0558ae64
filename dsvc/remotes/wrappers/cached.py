"""A backend that remembers, in a folder and within a bound, what it has read: blobs never change.

Kept are segments, pack lists and ranges of packs, up to a size: indexes, and the frames in which refs and history are
looked up; and small packs and lists that were written, whole, since the next command reads them first. Content that is
fetched does not come through here. The folder may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from blake3 import blake3

from dsvc.atomic import write_file
from dsvc.storage.backend import Backend, check_key
from dsvc.storage.passing import PassingBackend

BOUND = 256 << 20  # bytes of the folder
LARGEST = 64 << 20  # bytes of one thing that is kept
WRITTEN = 256 << 10  # bytes of a blob that is kept when it is written
_DIGEST = 32
_KEPT = ("packs/", "segments/", "lists/")
_OF_FORKS = ("/segments/", "/lists/")  # of a pool, see dsvc.repo.member


class CachedBackend(PassingBackend):
    """Reads of `inner`, kept in `folder`; everything else goes through."""

    def __init__(self, inner: Backend, folder: Path, *, bound: int = BOUND) -> None:
        super().__init__(inner)
        self._folder = folder
        self._bound = bound
        self._written = 0

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """See `Backend.get`. What is kept is compared with a checksum; damaged, it is read again."""
        if not _is_kept(key) or length == 0:
            return self.inner.get(key, offset=offset, length=length)
        kept = self.kept(key, offset, length)
        if kept is not None:
            return kept
        data = self.inner.get(key, offset=offset, length=length)
        if len(data) <= min(LARGEST, self._bound // 2):
            self._keep(self._path(key, offset, length), data)
        return data

    def put(self, key: str, source: bytes | Path) -> None:
        """See `Backend.put`. A small blob is kept."""
        data = None
        if _is_kept(key):
            if isinstance(source, bytes):
                data = source if len(source) <= WRITTEN else None
            elif source.stat().st_size <= WRITTEN:
                data = source.read_bytes()
        self.inner.put(key, source)
        if data is not None:
            self._keep(self._path(key, 0, None), data)

    def kept(self, key: str, offset: int, length: int | None) -> bytes | None:
        """Return a range that is kept, by itself or in a whole blob, or None."""
        if not _is_kept(key):
            return None
        found = _read(self._path(key, offset, length))
        if found is None and (offset or length is not None):
            whole = _read(self._path(key, 0, None))
            end = None if length is None else offset + length
            if whole is not None and (end or offset) <= len(whole):
                return whole[offset:end]
        return found

    def _keep(self, path: Path, data: bytes) -> None:
        with contextlib.suppress(OSError):  # a full disk only makes it slower
            path.parent.mkdir(parents=True, exist_ok=True)
            write_file(path, (blake3(data).digest(), data), durable=False)
            self._written += len(data)

    def close(self) -> None:
        """See `Backend.close`; the folder is brought below its bound, what was used longest ago first."""
        if self._written:
            self._written = 0
            with contextlib.suppress(OSError):
                self._shrink()
        self.inner.close()

    def forget(self) -> None:
        """Remove what is kept: bytes that came damaged are kept as they came, and would stay so."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, key: str, offset: int, length: int | None) -> Path:
        return self._folder / f"{check_key(key).replace('/', '.')}.{offset}.{'end' if length is None else length}"

    def _shrink(self) -> None:
        found = []
        with os.scandir(self._folder) as entries:
            for entry in entries:
                status = entry.stat()
                found.append((max(status.st_atime_ns, status.st_mtime_ns), status.st_size, entry.path))
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= self._bound:
                break
            with contextlib.suppress(OSError):
                os.unlink(path)
            total -= size


def uncached(backend: Backend) -> Backend:
    """Return the backend behind a cache, for content that is fetched once."""
    return backend.inner if isinstance(backend, CachedBackend) else backend


class SparingBackend(PassingBackend):
    """What lies behind a cache, for content that is fetched once: what is kept is not asked for again."""

    def __init__(self, cache: CachedBackend) -> None:
        super().__init__(cache.inner)
        self._cache = cache

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """See `Backend.get`."""
        found = self._cache.kept(key, offset, length) if length != 0 else None
        return self.inner.get(key, offset=offset, length=length) if found is None else found


def sparing(backend: Backend) -> Backend:
    """Return the backend for content that is fetched once."""
    return SparingBackend(backend) if isinstance(backend, CachedBackend) else backend


def _is_kept(key: str) -> bool:
    return key.startswith(_KEPT) or any(part in key for part in _OF_FORKS)


def _read(path: Path) -> bytes | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, data = content[:_DIGEST], content[_DIGEST:]
    if len(content) >= _DIGEST and blake3(data).digest() == digest:
        with contextlib.suppress(OSError):
            os.utime(path)
        return data
    return None
