"""Read a large file's chunks ahead in threads, in order, within a bound of bytes.

A chunk that another version of the file on disk has is read from there, which costs no decoding; it is compared with
its id like any other, and comes from the store where it does not match.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple

from blake3 import blake3

from dsvc.errors import IntegrityError
from dsvc.objects.filemap import Part
from dsvc.objects.files import ObjectDamagedError
from dsvc.objects.ids import Kind, content_id
from dsvc.objects.store import ObjectStore

_AHEAD_BYTES = 32 << 20
_BATCH_BYTES = 1 << 20
_MAX_PLACES = 400_000  # chunks of a file that are remembered by place: about 60 MB and 25 GB of file


class Near(NamedTuple):
    """Another version of the file, open on disk, and where its chunks lie in it."""

    fd: int
    places: Mapping[bytes, int]


def chunk_places(store: ObjectStore, file_id: bytes) -> dict[bytes, int]:
    """Return chunk id -> offset of a stored file, of a very large one its beginning; empty where it is not stored."""
    try:
        return {part.id: offset for offset, part in islice(store.file_parts(file_id), _MAX_PLACES)}
    except IntegrityError:
        return {}


def read_in_order(store: ObjectStore, file_id: bytes, *, near: Near | None = None) -> Iterator[bytes]:
    """Yield a file's content in pieces of about 1 MiB, each chunk compared with its id and the whole with the file's.

    Where a chunk of the first map fails, the file's other maps are tried from there on.

    Raises:
        ObjectMissingError, IntegrityError: where no map of the file yields its content; part of it was yielded then.
    """
    if store.has(file_id, Kind.CHUNK):
        yield store.get(file_id, Kind.CHUNK)
        return
    hasher, at = blake3(), 0
    try:
        for piece in _read_ahead(store, file_id, near):
            hasher.update(piece)
            at += len(piece)
            yield piece
    except IntegrityError:
        for piece in store.file_chunks(file_id, start=at):
            hasher.update(piece)
            yield piece
    if hasher.digest() != file_id:
        raise ObjectDamagedError(f"file {file_id.hex()} has a map that yields another content", hint="dsvc fsck")


def _read_ahead(store: ObjectStore, file_id: bytes, near: Near | None) -> Iterator[bytes]:
    """Yield the content by the file's first map, decoded by threads."""
    waiting: deque[tuple[int, Future[bytes]]] = deque()
    ahead = 0
    with ThreadPoolExecutor(max(2, min(8, os.cpu_count() or 2)), thread_name_prefix="dsvc-decode") as pool:
        try:
            for batch, size in _batches(store, file_id):
                waiting.append((size, pool.submit(_read, store, batch, near)))
                ahead += size
                while ahead > _AHEAD_BYTES or (waiting and waiting[0][1].done()):
                    done, future = waiting.popleft()
                    ahead -= done
                    yield future.result()
            while waiting:
                yield waiting.popleft()[1].result()
        finally:
            for _, future in waiting:
                future.cancel()


def _batches(store: ObjectStore, file_id: bytes) -> Iterator[tuple[list[Part], int]]:
    batch: list[Part] = []
    size = 0
    for _, part in store.file_parts(file_id):
        batch.append(part)
        size += part.length
        if size >= _BATCH_BYTES:
            yield batch, size
            batch, size = [], 0
    if batch:
        yield batch, size


def _read(store: ObjectStore, batch: list[Part], near: Near | None) -> bytes:
    if near is None:
        return b"".join([store.get(part.id, Kind.CHUNK) for part in batch])
    return b"".join([_near(near, part) or store.get(part.id, Kind.CHUNK) for part in batch])


def _near(near: Near, part: Part) -> bytes | None:
    offset = near.places.get(part.id)
    if offset is None:
        return None
    try:
        data = os.pread(near.fd, part.length, offset)
    except OSError:
        return None
    return data if content_id(data) == part.id else None
