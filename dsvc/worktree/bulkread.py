"""Read a large file's chunks ahead in threads, in order, within a bound of bytes."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from dsvc.objects.filemap import Part
from dsvc.objects.ids import Kind
from dsvc.objects.store import ObjectStore

_AHEAD_BYTES = 32 << 20
_BATCH_BYTES = 1 << 20


def read_in_order(store: ObjectStore, file_id: bytes) -> Iterator[bytes]:
    """Yield a file's content in pieces of about 1 MiB, each chunk compared with its id.

    Raises:
        ObjectMissingError, IntegrityError: for the first chunk that is not there or damaged.
    """
    if store.has(file_id, Kind.CHUNK):
        yield store.get(file_id, Kind.CHUNK)
        return
    waiting: deque[tuple[int, Future[bytes]]] = deque()
    ahead = 0
    with ThreadPoolExecutor(max(2, min(8, os.cpu_count() or 2)), thread_name_prefix="dsvc-decode") as pool:
        try:
            for batch, size in _batches(store, file_id):
                waiting.append((size, pool.submit(_read, store, batch)))
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


def _read(store: ObjectStore, batch: list[Part]) -> bytes:
    return b"".join([store.get(part.id, Kind.CHUNK) for part in batch])
