"""Read files of a store at any offset, from many threads, with a bounded cache of chunks and reads ahead of the reader.

Every chunk is compared with its id before any of it is returned.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from dsvc.errors import IntegrityError
from dsvc.objects.filemap import Page, Part, decode_page
from dsvc.objects.files import ObjectDamagedError
from dsvc.objects.ids import Kind
from dsvc.objects.store import ObjectStore

CACHE_BYTES = 64 << 20
AHEAD_BYTES = 8 << 20  # how far a reader that goes straight on is run ahead of
_BATCH = 1 << 20  # bytes that one job reads
_THREADS = 2
_PAGES = 64  # decoded pages of maps that are kept: about 100 kB each
_FETCH_AT_ONCE = 64 << 20  # files up to this size are fetched whole into a partial clone


class ContentReader:
    """Reads contents of one store. Any number of threads may read, in one process."""

    def __init__(self, store: ObjectStore, *, cache_bytes: int = CACHE_BYTES, ahead_bytes: int = AHEAD_BYTES) -> None:
        self._store = store
        self._most = max(cache_bytes, 1 << 20)
        self._ahead = min(ahead_bytes, self._most // 2)
        self._chunks: OrderedDict[bytes, bytes] = OrderedDict()
        self._size = 0
        self._coming: dict[bytes, Future[dict[bytes, bytes]]] = {}
        self._pages: OrderedDict[bytes, Page] = OrderedDict()
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    @property
    def cached(self) -> int:
        """Bytes of chunks that are kept."""
        return self._size

    def open(self, file_id: bytes, size: int) -> OpenContent:
        """Return a file for reading; nothing of it is read yet."""
        return OpenContent(self, file_id, size)

    def close(self) -> None:
        """Give back threads and memory."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)
        with self._lock:
            self._chunks.clear()
            self._coming.clear()
            self._size = 0

    def complete(self, file_id: bytes, size: int) -> None:
        """In a partial clone, fetch a file that is not here, unless it is so large that its map is enough."""
        if self._store.bring is not None and (size <= _FETCH_AT_ONCE or not self._store.has_file(file_id)):
            self._store.complete([file_id])

    def parts(self, file_id: bytes, size: int, start: int) -> Iterator[tuple[int, Part]]:
        """Yield (offset, chunk) of a file from the one that holds the byte at `start`; raises as `ObjectStore.get`."""
        if self._store.has(file_id, Kind.CHUNK):
            yield 0, Part(file_id, size)
            return
        yield from self._below(self._page(file_id, Kind.FILE_MAP), 0, start)

    def _below(self, page: Page, offset: int, start: int) -> Iterator[tuple[int, Part]]:
        for part in page.parts:
            end = offset + part.length
            if end > start:
                if page.level == 0:
                    yield offset, part
                else:
                    yield from self._below(self._page(part.id, Kind.MAP_PAGE), offset, start)
            offset = end

    def _page(self, page_id: bytes, kind: Kind) -> Page:
        with self._lock:
            page = self._pages.get(page_id)
            if page is not None:
                self._pages.move_to_end(page_id)
                return page
        page = decode_page(self._store.get(page_id, kind))
        with self._lock:
            self._pages[page_id] = page
            if len(self._pages) > _PAGES:
                self._pages.popitem(last=False)
        return page

    def take(self, parts: list[Part]) -> list[bytes]:
        """Return chunks, from the cache, from a read ahead that is under way, or by reading them now."""
        found: dict[bytes, bytes] = {}
        waiting: dict[bytes, Future[dict[bytes, bytes]]] = {}
        with self._lock:
            for part in parts:
                data = self._chunks.get(part.id)
                if data is not None:
                    self._chunks.move_to_end(part.id)
                    found[part.id] = data
                elif part.id in self._coming:
                    waiting[part.id] = self._coming[part.id]
        for chunk_id, future in waiting.items():
            try:
                found[chunk_id] = future.result()[chunk_id]
            except Exception:  # noqa: BLE001, S112 - it is read once more below, where its error is the reader's
                continue
        lacking = list({part.id: part for part in parts if part.id not in found}.values())
        if lacking:
            found |= self._read(lacking)
        for part in parts:
            if len(found[part.id]) != part.length:
                raise ObjectDamagedError(f"a map gives chunk {part.id.hex()} a wrong length", hint="dsvc fsck")
        return [found[part.id] for part in parts]

    def run_ahead(self, parts: list[Part]) -> None:
        """Begin to read chunks that are not here yet, in other threads."""
        batch: list[Part] = []
        size = 0
        for part in parts:
            with self._lock:
                known = part.id in self._chunks or part.id in self._coming
            if not known:
                batch.append(part)
                size += part.length
            if size >= _BATCH:
                self._begin(batch)
                batch, size = [], 0
        if batch:
            self._begin(batch)

    @property
    def ahead(self) -> int:
        """How many bytes a reader is run ahead of."""
        return self._ahead

    def _begin(self, batch: list[Part]) -> None:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="dsvc-ahead")
        with self._lock:
            future = self._pool.submit(self._read_ahead, batch)
            for part in batch:
                self._coming[part.id] = future

    def _read_ahead(self, batch: list[Part]) -> dict[bytes, bytes]:
        try:
            return self._read(batch)
        finally:
            with self._lock:
                for part in batch:
                    self._coming.pop(part.id, None)

    def _read(self, parts: list[Part]) -> dict[bytes, bytes]:
        ids = [part.id for part in parts]
        if self._store.bring is not None:
            lacking = [chunk_id for chunk_id in ids if not self._store.has(chunk_id, Kind.CHUNK)]
            if lacking:
                self._store.bring(lacking)
        read = dict(zip(ids, self._store.get_chunks(ids), strict=True))
        with self._lock:
            for chunk_id, data in read.items():
                if chunk_id not in self._chunks:
                    self._chunks[chunk_id] = data
                    self._size += len(data)
            while self._size > self._most and self._chunks:
                self._size -= len(self._chunks.popitem(last=False)[1])
        return read


class OpenContent:
    """A file that is being read. Threads may share it; each call names its offset."""

    def __init__(self, reader: ContentReader, file_id: bytes, size: int) -> None:
        self._reader, self._id, self.size = reader, file_id, size
        self._next = 0  # where a reader that goes straight on reads next
        self._ahead_to = 0
        self._here = False

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset` on, fewer only at the end of the file.

        Raises:
            IntegrityError: where it is not stored, or damaged. In a partial clone also what fetching raises.
        """
        pieces = self._pieces(offset, min(offset + length, self.size))
        return bytes(pieces[0]) if len(pieces) == 1 else b"".join(pieces)

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Fill a buffer from `offset` on; return how many bytes there were. Raises as `read`."""
        at = 0
        for piece in self._pieces(offset, min(offset + len(buffer), self.size)):
            buffer[at : at + len(piece)] = piece
            at += len(piece)
        return at

    def _pieces(self, offset: int, end: int) -> list[bytes | memoryview]:
        if offset >= end:
            return []
        if not self._here:
            self._reader.complete(self._id, self.size)
            self._here = True
        wanted, first, last = self._plan(offset, end)
        pieces: list[bytes | memoryview] = list(self._reader.take(wanted))
        if last < end:
            raise IntegrityError(f"the map of file {self._id.hex()} ends too early", hint="dsvc fsck")
        if last > end:
            pieces[-1] = memoryview(pieces[-1])[: end - last]
        if first < offset:
            pieces[0] = memoryview(pieces[0])[offset - first :]
        return pieces

    def _plan(self, offset: int, end: int) -> tuple[list[Part], int, int]:
        """Return the chunks of a range, where the first begins and the last ends; let what follows be read ahead."""
        straight, self._next = offset == self._next, end
        ahead = self._reader.ahead
        limit = end + ahead if straight and self._ahead_to < end + ahead // 2 else end
        wanted: list[Part] = []
        further: list[Part] = []
        first = last = 0
        for at, part in self._reader.parts(self._id, self.size, offset):
            if at >= limit:
                break
            if at >= end:
                further.append(part)
                continue
            first = at if not wanted else first
            last = at + part.length
            wanted.append(part)
        if further:
            self._reader.run_ahead(further)
            self._ahead_to = limit
        elif not straight:
            self._ahead_to = end
        return wanted, first, last
