"""Take objects in: gather small ones into groups, compress in threads, append to packs in a fixed order.

The calling thread reads, hashes small objects and appends; worker threads hash and encode the rest. What waits
between them is bounded in bytes. Nothing here is visible to other processes until the packs are published.
"""

from __future__ import annotations

import os
import struct
from collections import deque
from collections.abc import Callable, Mapping
from itertools import accumulate, compress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsvc.objects.allocation import keep_freed_memory
from dsvc.objects.chunker import MAX
from dsvc.objects.encoders import Encoders
from dsvc.objects.encodings import LEVEL, Decoder
from dsvc.objects.filemap import MapBuilder, Part
from dsvc.objects.hashed_read import HashedRead, Note, Read
from dsvc.objects.ids import Kind, ObjectId, content_id, object_id
from dsvc.objects.packlist import PackClass, PackRef, classes_of
from dsvc.objects.packwriter import SYNC_EVERY, Member, PackWriter

if TYPE_CHECKING:  # a command that stores nothing starts without it
    from concurrent.futures import Executor, Future, ThreadPoolExecutor

GROUP_BYTES = {PackClass.METADATA: 128 << 10, PackClass.SMALL: 256 << 10, PackClass.BULK: 64 << 10}
QUEUE_BYTES = 16 << 20  # plain bytes that wait for or are in work
OBJECT_COST = 128  # what an object counts in a group beside its bytes: a million tiny files must not fill memory
_WAITING_COST = 256  # and what it takes more than that while it waits, in dicts, tuples and lists
BATCH_BYTES = 2 << 20  # chunks that go to a worker together: fewer hand-overs than by one MiB, 4 % of the time
PART_CHUNKS = 50_000  # so many new chunks of a large file go into one part of a pack
_LISTED = struct.Struct("=32sI?")  # id, length, whether it is stored
Encoded = tuple[int, "bytes | memoryview", int, list[Member]]  # encoding, stored, plain length, members


class Ingest:
    """Objects on their way into new packs. One thread calls it."""

    def __init__(
        self,
        staging: Callable[[], Path],
        known: Callable[[bytes, Kind], bool],
        *,
        deliver: Callable[[PackRef, Path], None],
        level: int = LEVEL,
    ) -> None:
        """`known` says what is stored already (asked from threads); `deliver` stores a finished pack."""
        self._staging = staging
        self._known = known
        self._deliver = deliver
        self._writers: dict[PackClass, PackWriter] = {}
        self._groups: dict[PackClass, dict[bytes, tuple[Kind, bytes]]] = {c: {} for c in PackClass}
        self._group_sizes = dict.fromkeys(PackClass, 0)
        self._flying: dict[bytes, tuple[Kind, bytes]] = {}
        self._queue: deque[tuple[Future[list[Encoded]], PackClass, int, list[bytes]]] = deque()
        self._queued = 0
        self._finished: list[PackRef] = []
        self._pool: ThreadPoolExecutor | None = None
        self._aside: ThreadPoolExecutor | None = None
        self._encoders = Encoders(level=level, capacity=BATCH_BYTES + MAX)
        self._syncing: Future[None] | None = None
        self._synced_at = 0
        self._whole: set[bytes] = set()  # files that were taken in whole, on their way
        self._note_ways()

    def put(self, kind: Kind, payload: bytes, *, own_id: ObjectId | None = None) -> ObjectId:
        """Take in an object that is small; `own_id` for a file map, whose id is its file's."""
        new_id = object_id(kind, payload) if own_id is None else own_id
        if not self.holds(new_id, kind) and not self._known(new_id, kind):
            self._add_to_group(classes_of(kind)[0], new_id, kind, payload)
        return new_id

    def put_large(self, read: Read, *, note: Note | None = None) -> tuple[ObjectId, int]:
        """Take in a stream as chunks and their map; return the file's id and length. `note`: see HashedRead."""
        from dsvc.objects.chunker import cut

        pool = self._workers()
        hashed = HashedRead(read, self._beside(), note)
        builder = MapBuilder(lambda payload: self.put(Kind.MAP_PAGE, payload))
        waiting: deque[Future[list[tuple[bytes, Encoded | None, int]]]] = deque()
        batch: list[memoryview] = []
        size = in_flight = 0

        def take() -> None:
            nonlocal in_flight
            for chunk_id, encoded, chunk_length in waiting.popleft().result():
                in_flight -= chunk_length
                if encoded is not None and not self.holds(chunk_id, Kind.CHUNK):
                    self._append(PackClass.BULK, encoded)
                builder.add(Part(chunk_id, chunk_length))

        for chunk in cut(hashed.read):
            batch.append(chunk)
            size += len(chunk)
            if size >= BATCH_BYTES:
                waiting.append(pool.submit(self._encode_chunks, batch))
                in_flight += size
                batch, size = [], 0
                while waiting and (in_flight > QUEUE_BYTES or waiting[0].done()):
                    take()
        if batch:
            in_flight += size
            waiting.append(pool.submit(self._encode_chunks, batch))
        while waiting:
            take()
        file_id, length = hashed.finish()
        if not self._known(file_id, Kind.FILE_MAP):
            self.put(Kind.FILE_MAP, builder.finish(), own_id=file_id)
        return file_id, length

    def put_whole(
        self, file: Path, *, shared: int | None, read: Read, note: Note | None = None
    ) -> tuple[ObjectId, int]:
        """Take in a large file without copying its bytes; return its id and length.

        `read` delivers its content; when that ends, the file lies on the disk of the packs, is the store's own, and
        nobody writes to it any more; the caller removes its name afterwards. Where half of it or more is stored as
        chunks of other files, and less than half lies in blocks that were `shared` with other files before it was made,
        only what is new of it is stored, in the usual way. `note`: see HashedRead.

        The ids and lengths of its chunks are kept in memory meanwhile: 37 bytes for 64 KiB.
        """
        file_id, length, listed, known = self._identify(read, note)
        with open(file, "rb", buffering=0) as source:
            mapped = self.holds(file_id, Kind.FILE_MAP) or self._known(file_id, Kind.FILE_MAP)
            if mapped or 2 * known >= length > 2 * (shared or 0):
                if mapped and (known == length or file_id in self._whole):
                    return file_id, length
                return self.put_large(source.read)
        self._append_whole(file, file_id, listed)
        self._whole.add(file_id)
        return file_id, length

    def _identify(self, read: Read, note: Note | None) -> tuple[ObjectId, int, bytearray, int]:
        """Return a stream's id and length, its chunks as rows of `_LISTED`, and how many bytes of them are stored."""
        from dsvc.objects.chunker import cut

        pool = self._workers()
        hashed = HashedRead(read, self._beside(), note)
        waiting: deque[Future[tuple[bytes, int]]] = deque()
        listed, known, batch, size = bytearray(), 0, list[memoryview](), 0

        def take() -> int:
            rows, stored = waiting.popleft().result()
            listed.extend(rows)
            return stored

        for chunk in cut(hashed.read):
            batch.append(chunk)
            size += len(chunk)
            if size >= BATCH_BYTES:
                waiting.append(pool.submit(self._look_up, batch))
                batch, size = [], 0
                while len(waiting) * BATCH_BYTES > QUEUE_BYTES:
                    known += take()
        if batch:
            waiting.append(pool.submit(self._look_up, batch))
        while waiting:
            known += take()
        return *hashed.finish(), listed, known

    def _look_up(self, batch: list[memoryview]) -> tuple[bytes, int]:
        rows, stored = [], 0
        for chunk in batch:
            chunk_id = content_id(chunk)
            known = self._known(chunk_id, Kind.CHUNK)
            rows.append(_LISTED.pack(chunk_id, len(chunk), known))
            stored += len(chunk) if known else 0
        return b"".join(rows), stored

    def _append_whole(self, file: Path, file_id: ObjectId, listed: bytearray) -> None:
        """Append a file's chunks as parts of packs, and its map to the last of them."""
        builder = MapBuilder(lambda payload: self.put(Kind.MAP_PAGE, payload))
        members: list[tuple[bytes, int, int]] = []
        start = offset = 0
        for chunk_id, size, known in _LISTED.iter_unpack(listed):
            builder.add(Part(chunk_id, size))
            if not known and not self.holds(chunk_id, Kind.CHUNK) and not (start and self._known(chunk_id, Kind.CHUNK)):
                members.append((chunk_id, offset, size))
            offset += size
            if len(members) == PART_CHUNKS:
                self._append_part(file, start, offset, members)
                start, members = offset, []
        if offset > start:
            self._append_part(file, start, offset, members)
        self._writers[PackClass.BULK].name_part(file_id)
        payload = builder.finish()
        encoding, stored = self._encoders.own().encode(payload, allow_planes=False)
        # Not into a group, which may go into another pack: the map lies beside the last part of its file.
        self._append(PackClass.BULK, (encoding, stored, len(payload), [(file_id, Kind.FILE_MAP, 0, len(payload))]))

    def _append_part(self, file: Path, start: int, end: int, members: list[tuple[bytes, int, int]]) -> None:
        if PackClass.BULK in self._writers and self._writers[PackClass.BULK].is_full():
            self._end_pack(PackClass.BULK)
        self._writer(PackClass.BULK).append_part(file, start=start, length=end - start, members=members)

    def holds(self, wanted: bytes, kind: Kind) -> bool:
        """Say whether the object is on its way."""
        for ways in self._ways:
            found = ways.get(wanted)
            if found is not None and found[0] == kind:
                return True
        return False

    def _note_ways(self) -> None:
        """Gather where an object on its way may be: id -> (kind, ...). Called whenever one of these is another."""
        self._ways: tuple[Mapping[bytes, tuple[Any, ...]], ...] = (
            self._flying,
            *self._groups.values(),
            *(writer.places for writer in self._writers.values()),
        )

    def get(self, wanted: bytes, kind: Kind) -> bytes | None:
        """Return the payload of an object that is on its way, or None."""
        for places in (self._flying, *self._groups.values()):
            found = places.get(wanted)
            if found is not None and found[0] == kind:
                return found[1]
        for writer in tuple(self._writers.values()):
            place = writer.places.get(wanted)
            if place is not None and place.kind == kind:
                frame = writer.frames[place.frame]
                plain = Decoder().decode(frame.encoding, writer.read(frame), plain_length=frame.plain)
                return plain[place.offset : place.offset + place.length]
        return None

    def small_metadata(self) -> tuple[tuple[Kind, bytes], ...] | None:
        """Return the metadata that waits for a pack if one group holds all of it; None where it is more or nothing."""
        group = self._groups[PackClass.METADATA]
        begun = PackClass.METADATA in self._writers or any(queued[1] == PackClass.METADATA for queued in self._queue)
        return None if begun or not group else tuple(group.values())

    def finish(self) -> list[PackRef]:
        """End and deliver all packs; return them in the order in which they were made."""
        for pack_class in PackClass:
            self._send_group(pack_class)
        while self._queue:
            self._take_one()
        self._encoders.close()
        for pack_class in list(self._writers):
            self._end_pack(pack_class)
        finished, self._finished = self._finished, []
        self._whole.clear()
        return finished

    def abandon(self) -> None:
        """Drop everything that is on its way and remove the temporary files."""
        for pool in (self._pool, self._aside):
            if pool is not None:
                pool.shutdown(wait=True, cancel_futures=True)
        self._pool = self._aside = None
        self._encoders.close()
        self._queue.clear()
        self._queued = 0
        for writer in self._writers.values():
            writer.abandon()
        self._writers, self._finished, self._flying = {}, [], {}
        self._whole.clear()
        for pack_class in PackClass:
            self._groups[pack_class], self._group_sizes[pack_class] = {}, 0
        self._note_ways()

    def close(self) -> None:
        """Drop what was not finished and end the threads."""
        self.abandon()

    def _add_to_group(self, pack_class: PackClass, new_id: ObjectId, kind: Kind, payload: bytes) -> None:
        self._groups[pack_class][new_id] = (kind, payload)
        size = self._group_sizes[pack_class] = self._group_sizes[pack_class] + len(payload) + OBJECT_COST
        if size >= GROUP_BYTES[pack_class]:
            self._send_group(pack_class)

    def _send_group(self, pack_class: PackClass) -> None:
        group, size = self._groups[pack_class], self._group_sizes[pack_class]
        if not group:
            return
        self._flying.update(group)  # first, so that a reader finds each object at every moment
        self._groups[pack_class], self._group_sizes[pack_class] = {}, 0
        self._note_ways()
        future = self._submit(group, size)
        taken = size + _WAITING_COST * len(group)
        self._queue.append((future, pack_class, taken, list(group)))
        self._queued += taken
        while self._queue and (self._queued > QUEUE_BYTES or self._queue[0][0].done()):
            self._take_one()

    def _submit(self, group: dict[bytes, tuple[Kind, bytes]], size: int) -> Future[list[Encoded]]:
        from concurrent.futures import Future

        if self._pool is None and size < GROUP_BYTES[PackClass.BULK]:
            done: Future[list[Encoded]] = Future()  # a small command needs no threads
            done.set_result(self._encode_group(group))
            return done
        return self._workers().submit(self._encode_group, group)

    def _take_one(self) -> None:
        future, pack_class, size, ids = self._queue.popleft()
        for encoded in future.result():
            self._append(pack_class, encoded)
        self._queued -= size
        for taken in ids:
            self._flying.pop(taken, None)

    def _append(self, pack_class: PackClass, encoded: Encoded) -> None:
        writer = self._writer(pack_class)
        encoding, stored, plain, members = encoded
        writer.append(encoding, stored, plain, members)
        if writer.size - self._synced_at > SYNC_EVERY and (self._syncing is None or self._syncing.done()):
            # The disk begins to write while there is still something to compute.
            self._synced_at = writer.size
            self._syncing = self._workers().submit(writer.sync_data)
        if writer.is_full():
            self._end_pack(pack_class)

    def _writer(self, pack_class: PackClass) -> PackWriter:
        writer = self._writers.get(pack_class)
        if writer is None:
            writer = self._writers[pack_class] = PackWriter(self._staging(), pack_class, pool=self._pool_of(pack_class))
            self._synced_at = 0
            self._note_ways()
        return writer

    def _end_pack(self, pack_class: PackClass) -> None:
        writer = self._writers.pop(pack_class)
        self._note_ways()
        try:
            syncing, self._syncing = self._syncing, None
            if syncing is not None:
                syncing.result()
            ref = writer.finish()
            self._deliver(ref, writer.path)
        except BaseException:
            writer.abandon()
            raise
        self._finished.append(ref)

    def _encode_group(self, group: dict[bytes, tuple[Kind, bytes]]) -> list[Encoded]:
        members: list[Member] = []
        at = 0
        for member_id, (kind, payload) in group.items():
            members.append((member_id, kind, at, len(payload)))
            at += len(payload)
        plain = b"".join(payload for _, payload in group.values())
        encoding, stored = self._encoders.own().encode(plain, allow_planes=len(group) == 1)
        return [(encoding, stored, len(plain), members)]

    def _encode_chunks(self, batch: list[memoryview]) -> list[tuple[bytes, Encoded | None, int]]:
        ids = [content_id(chunk) for chunk in batch]
        offsets = accumulate(map(len, batch), initial=0)
        new = [not self._known(chunk_id, Kind.CHUNK) for chunk_id in ids]
        frames = self._encoders.encode_run(list(compress(zip(offsets, batch, strict=False), new)))
        raw = sum(len(data) for _, data in frames if isinstance(data, memoryview))
        apart = 2 * raw < sum(map(len, batch))  # a raw chunk keeps its whole window in memory, here for little of it
        result: list[tuple[bytes, Encoded | None, int]] = []
        each = iter(frames)
        for chunk_id, chunk, is_new in zip(ids, batch, new, strict=True):
            encoded: Encoded | None = None
            length = len(chunk)
            if is_new:
                encoding, data = next(each)
                if apart and isinstance(data, memoryview):
                    data = bytes(data)
                encoded = encoding, data, length, [(chunk_id, Kind.CHUNK, 0, length)]
            result.append((chunk_id, encoded, length))
        return result

    def _pool_of(self, pack_class: PackClass) -> Callable[[], Executor] | None:
        """Return where a pack's bytes are written from; the little metadata of a small command needs no threads."""
        return None if pack_class == PackClass.METADATA or self._pool is None else self._beside

    def _workers(self) -> ThreadPoolExecutor:
        from concurrent.futures import ThreadPoolExecutor

        if self._pool is None:
            # One more than there are processors: now and then one of them waits for the disk.
            threads = max(2, min(8, os.cpu_count() or 2)) + 1
            keep_freed_memory()
            self._pool = ThreadPoolExecutor(threads, thread_name_prefix="dsvc-encode")
        return self._pool

    def _beside(self) -> ThreadPoolExecutor:
        """Return what hashes streams and writes packs: the caller waits for these, so not behind the encoders."""
        from concurrent.futures import ThreadPoolExecutor

        if self._aside is None:
            self._aside = ThreadPoolExecutor(2, thread_name_prefix="dsvc-beside")
        return self._aside
