"""Read a large file's chunks ahead in threads, in order, within a bound of bytes.

A chunk that another version of the file on disk has is read from there, which costs no decoding. What was read is
compared with the file's id as a whole. Where that fails, the reader begins anew and looks at each chunk.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from typing import NamedTuple

from blake3 import blake3

from dsvc.errors import IntegrityError
from dsvc.objects.allocation import keep_freed_memory
from dsvc.objects.chunker import MAX
from dsvc.objects.decoders import Decoders, Lease
from dsvc.objects.filemap import Part
from dsvc.objects.files import ObjectDamagedError
from dsvc.objects.ids import Kind
from dsvc.objects.store import ObjectStore

_AHEAD_BYTES = 8 << 20
_BATCH_BYTES = 1 << 20
_BATCH_PARTS = 512  # no more than one call writes
_MAX_PLACES = 400_000  # chunks of a file that are remembered by place: about 60 MB and 25 GB of file


Pieces = Sequence["bytes | memoryview"]


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


def read_in_order(store: ObjectStore, file_id: bytes, *, near: Near | None = None) -> Iterator[Pieces]:
    """Yield a file's content in order; only the whole is compared with the file's id, behind its last piece.

    It comes as lists of pieces that together have about 1 MiB and are valid until the next list is asked for.

    Raises:
        IntegrityError: where a chunk cannot be read or the content is not the file's. What was yielded is worth nothing
            then; `read_carefully` may still find the content.
    """
    if store.has(file_id, Kind.CHUNK):
        yield [store.get(file_id, Kind.CHUNK)]
        return
    hasher = blake3()
    with ThreadPoolExecutor(1, thread_name_prefix="dsvc-hash") as pool:
        for pieces in _read_ahead(store, file_id, near, verify=False):
            hashing = pool.submit(_update, hasher, pieces)
            yield pieces
            hashing.result()
    _compare(hasher, file_id)


def _update(hasher: blake3, pieces: Pieces) -> None:
    for piece in pieces:
        hasher.update(piece)


def read_carefully(store: ObjectStore, file_id: bytes) -> Iterator[Pieces]:
    """Yield a file's content as `read_in_order` does, each chunk compared with its id, and the whole at the end.

    Where a chunk of the first map fails, its other copies and the file's other maps are tried from there on.

    Raises:
        ObjectMissingError, IntegrityError: where no map of the file yields its content; part of it was yielded then.
    """
    hasher, at = blake3(), 0
    try:
        for pieces in _read_ahead(store, file_id, None, verify=True):
            for piece in pieces:
                hasher.update(piece)
                at += len(piece)
            yield pieces
    except IntegrityError:
        for piece in store.file_chunks(file_id, start=at):
            hasher.update(piece)
            yield [piece]
    _compare(hasher, file_id)


def _compare(hasher: blake3, file_id: bytes) -> None:
    if hasher.digest() != file_id:
        raise ObjectDamagedError(f"file {file_id.hex()} has a map that yields another content", hint="dsvc fsck")


def _read_ahead(store: ObjectStore, file_id: bytes, near: Near | None, *, verify: bool) -> Iterator[Pieces]:
    """Yield the content by the file's first map, decoded by threads."""
    waiting: deque[tuple[int, Lease | None, Future[tuple[Pieces, bytearray | None]]]] = deque()
    spare: list[bytearray] = []  # buffers to read into: memory that was used before costs no more page faults
    ahead = 0
    keep_freed_memory()

    def take() -> Iterator[Pieces]:
        nonlocal ahead
        size, lease, future = waiting.popleft()
        ahead -= size
        pieces, buffer = future.result()
        yield pieces
        if lease is not None:
            lease.end()
        if buffer is not None:
            spare.append(buffer)

    workers = max(2, min(8, (os.cpu_count() or 2) - 1))  # one processor hashes and writes
    with (
        closing(Decoders(capacity=_BATCH_BYTES + MAX)) as decoders,
        ThreadPoolExecutor(workers, thread_name_prefix="dsvc-decode") as pool,
    ):
        try:
            for batch, size in _batches(store, file_id):
                lease = None if verify else decoders.lease()
                waiting.append((size, lease, pool.submit(_read, store, batch, near, spare, lease)))
                ahead += size
                while ahead > _AHEAD_BYTES or (waiting and waiting[0][2].done()):
                    yield from take()
            while waiting:
                yield from take()
        finally:
            for *_, future in waiting:
                future.cancel()


def _batches(store: ObjectStore, file_id: bytes) -> Iterator[tuple[list[Part], int]]:
    batch: list[Part] = []
    size = 0
    for _, part in store.file_parts(file_id):
        batch.append(part)
        size += part.length
        if size >= _BATCH_BYTES or len(batch) == _BATCH_PARTS:
            yield batch, size
            batch, size = [], 0
    if batch:
        yield batch, size


def _read(
    store: ObjectStore,
    batch: list[Part],
    near: Near | None,
    spare: list[bytearray],
    lease: Lease | None,
) -> tuple[Pieces, bytearray | None]:
    """Return the content of a batch in order, and the buffer that some of it lies in.

    Without a lease each chunk is compared with its id.
    """
    if near is None:
        return _get(store, batch, lease), None
    places = [near.places.get(part.id) if part.length <= MAX else None for part in batch]
    total = sum(part.length for part, place in zip(batch, places, strict=True) if place is not None)
    try:
        buffer = spare.pop()
    except IndexError:
        buffer = bytearray()
    if len(buffer) < total:
        buffer = bytearray(total)
    pieces: list[bytes | memoryview] = []
    at = 0
    for offset, run in _neighbours(batch, places):
        if offset is not None:
            view = memoryview(buffer)[at : at + sum(part.length for part in run)]
            at += len(view)
            if _fill(near.fd, view, offset):
                pieces.append(view)
                continue
        pieces += _get(store, run, lease)
    return pieces, buffer


def _get(store: ObjectStore, parts: list[Part], lease: Lease | None) -> Pieces:
    ids = [part.id for part in parts]
    return store.get_chunks(ids) if lease is None else store.get_unverified(ids, lease)


def _neighbours(batch: list[Part], places: list[int | None]) -> Iterator[tuple[int | None, list[Part]]]:
    """Yield (offset, parts) of those parts that lie behind each other there, and (None, parts) of those that do not."""
    run: list[Part] = []
    start = end = None
    for part, place in zip(batch, places, strict=True):
        if run and (place != end if start is not None else place is not None):
            yield start, run
            run = []
        if not run:
            start = end = place
        run.append(part)
        if end is not None:
            end += part.length
    if run:
        yield start, run


def _fill(fd: int, view: memoryview, offset: int) -> bool:
    try:
        return os.preadv(fd, [view], offset) == len(view)
    except OSError:
        return False
