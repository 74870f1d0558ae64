"""The object store: objects in, objects out. It alone knows that there are packs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path

from dsvc.errors import IntegrityError
from dsvc.objects import files
from dsvc.objects.decoders import Lease
from dsvc.objects.encodings import LEVEL
from dsvc.objects.filemap import Part
from dsvc.objects.files import ObjectDamagedError, ObjectMissingError
from dsvc.objects.hashed_read import Note, Read
from dsvc.objects.ids import FileId, Kind, ObjectId, content_id, object_id
from dsvc.objects.ingest import Ingest
from dsvc.objects.neighbours import read_each, read_pieces
from dsvc.objects.nodes import Nodes
from dsvc.objects.own_packs import Flush, OwnPacks
from dsvc.objects.packindex import Place
from dsvc.objects.packlist import PackClass, PackList, PackRef
from dsvc.objects.packs import PackSet
from dsvc.objects.reference import Elsewhere
from dsvc.objects.reliance import CollectedError, Reliance
from dsvc.objects.segment import Segments
from dsvc.objects.sortedmap import MapKind, Node
from dsvc.objects.wholes import Link
from dsvc.storage.backend import Backend

__all__ = ["ObjectMissingError", "ObjectStore"]

_REREADS = 20  # how often a look-up follows a list that changes under it


class ObjectStore:
    """Objects in packs of a backend. One thread writes; any number may read.

    What was put can be read back at once, but exists for others only after `flush` and the publication of the
    returned packs in the head (see dsvc.refs.log).
    """

    def __init__(
        self,
        backend: Backend,
        staging: Callable[[], Path],
        *,
        level: int = LEVEL,
        reread: Callable[[], PackList] | None = None,
    ) -> None:
        """`staging` gives a folder for packs under construction; `reread` the newest pack list."""
        self.backend = backend
        self.packs = PackSet(backend)
        self.segments = Segments(backend)
        self.staging = staging
        self.bring: Callable[[list[bytes]], None] | None = None
        """In a partial clone: fetches the content of these files, or raises."""
        self.elsewhere: Elsewhere | None = None
        self.near: ObjectStore | None = None
        """Of a store far away: one at hand, in which nodes of views are looked up before they are asked for."""
        self.wholes: Link | None = None  # how large files are kept whole (dsvc.objects.wholes); None: not
        self._level = level
        self._reread = reread
        self._ingest: Ingest | None = None
        self._nodes = Nodes(self.get)
        self._relied = Reliance()
        self.own = OwnPacks(backend, self._taken)
        self._list: PackList | None = None  # the newest that was shown
        self._shown: frozenset[bytes] = frozenset()
        self._lock = threading.RLock()
        self.delivered = 0  # bytes of the packs that this process made and stored
        self._behind = False  # packs are delivered while the caller goes on

    # Reading.

    def show(self, packs: PackList) -> None:
        """Make the packs of this list visible, and this process's own unpublished ones."""
        listed = frozenset(p.id for p in packs.packs)
        with self._lock:
            self._list = packs
            self.own.drop(listed)
            self._shown = listed
            self.packs.show([*packs.packs, *self.own.refs.values()], packs.segments)
            self.segments.forget_others(segment.ref for segment in packs.segments)

    def published(self, packs: PackList) -> None:
        """Take note that all packs of this process were published; `packs` is the list that did, or a later one."""
        with self._lock:
            self.own.drop(self.own.refs)
            self.show(packs)

    def has(self, wanted: bytes, kind: Kind) -> bool:
        """Say whether an object is in the store or on its way into it."""
        if self._ingest is not None and self._ingest.holds(wanted, kind):
            return True
        return self._find(wanted, kind) is not None

    def missing(self, wanted: Iterable[tuple[bytes, Kind]]) -> list[tuple[bytes, Kind]]:
        """Return those objects that are not in the store."""
        return [(i, kind) for i, kind in wanted if not self.has(i, kind)]

    def get(self, wanted: bytes, kind: Kind) -> bytes:
        """Return an object's payload, compared with its id.

        Raises:
            ObjectMissingError: where the store has no such object.
            IntegrityError: where every copy of it is damaged.
        """
        if self._ingest is not None:
            waiting = self._ingest.get(wanted, kind)
            if waiting is not None:
                return waiting
        if kind == Kind.VIEW and self.near is not None:
            near = self._get_near(self.near, wanted)
            if near is not None:
                return near
        try:
            return self._get(wanted, kind)
        except ObjectMissingError:
            if self.bring is None or kind not in (Kind.CHUNK, Kind.FILE_MAP):
                raise
            self.bring([wanted])
        return self._get(wanted, kind)

    def _get_near(self, near: ObjectStore, wanted: bytes) -> bytes | None:
        try:
            return near.get(wanted, Kind.VIEW) if near.has(wanted, Kind.VIEW) else None
        except IntegrityError:  # damaged there; here it may be whole
            return None

    def _get(self, wanted: bytes, kind: Kind) -> bytes:
        try:
            found = self._find(wanted, kind)
            if found is not None:
                payload = self._verified(wanted, kind, *found)
                if payload is not None:
                    return payload
        except IntegrityError:
            pass  # the pack may have been replaced since the list was read, and another one may have a good copy
        return self._get_carefully(wanted, kind)

    def get_chunks(self, wanted: Sequence[bytes], *, small: bool = False) -> list[bytes]:
        """Return the payloads of several chunks, those of one file read at once; of `small` files a frame holds many.

        Each is compared with its id. Raises as `get`.
        """
        read = PackSet.read_small if small else read_each
        try:
            payloads = read(self.packs, [self._find(chunk_id, Kind.CHUNK) for chunk_id in wanted])
        except IntegrityError:
            return [self.get(chunk_id, Kind.CHUNK) for chunk_id in wanted]
        return [
            payload
            if payload is not None and content_id(payload) == chunk_id
            else self.get(chunk_id, Kind.CHUNK)
            for chunk_id, payload in zip(wanted, payloads, strict=True)
        ]

    def get_unverified(self, wanted: Sequence[bytes], lease: Lease) -> list[bytes | memoryview]:
        """Return what chunks of one file hold, not compared with anything, until the lease ends. Raises as `get`."""
        try:
            pieces = read_pieces(self.packs, [self._find(each, Kind.CHUNK) for each in wanted], lease)
        except IntegrityError:
            pieces = None
        return [self.get(each, Kind.CHUNK) for each in wanted] if pieces is None else pieces

    def _get_carefully(self, wanted: bytes, kind: Kind) -> bytes:
        """Read the head again and try every copy; again as long as the list goes on changing."""
        for _ in range(_REREADS):
            self._show_newest()
            seen = self._shown
            try:
                return self._any_copy(wanted, kind)
            except IntegrityError:
                self._show_newest()
                if self._shown == seen:
                    raise
        return self._any_copy(wanted, kind)

    def _any_copy(self, wanted: bytes, kind: Kind) -> bytes:
        failure: IntegrityError | None = None
        for ref, place in self.packs.find_every(wanted, kind):
            try:
                payload = self._verified(wanted, kind, ref, place)
                if payload is not None:
                    return payload
                failure = ObjectDamagedError(
                    f"{kind.name.lower()} {wanted.hex()} is damaged in pack {ref.id.hex()}", hint="dsvc fsck"
                )
            except IntegrityError as error:
                failure = error
        raise failure or ObjectMissingError(wanted, kind)

    def _verified(self, wanted: bytes, kind: Kind, ref: PackRef, place: Place) -> bytes | None:
        payload = self.packs.read(ref, place)
        return payload if kind == Kind.FILE_MAP or object_id(kind, payload) == wanted else None

    def node(self, map_kind: MapKind, node_id: ObjectId) -> Node:
        """Return a decoded node of a sorted map."""
        return self._nodes.get(map_kind, node_id)

    def find(self, prefix: str) -> list[tuple[ObjectId, Kind]]:
        """Return the objects whose ids begin with these hexadecimal digits, each once, in order."""
        found = set(self.packs.find_prefix(bytes.fromhex(prefix[: len(prefix) & ~1])))
        return sorted((i, k) for i, k in found if i.hex().startswith(prefix))

    # Files.

    def has_file(self, file_id: bytes) -> bool:
        """Say whether a file's content is stored, as one chunk or as a map (whose chunks are not looked up)."""
        return self.has(file_id, Kind.CHUNK) or self.has(file_id, Kind.FILE_MAP)

    def complete(self, file_ids: Iterable[bytes]) -> None:
        """In a partial clone, fetch what is not here of these files, at once; elsewhere do nothing.

        Raises:
            What `bring` raises: where the content cannot be had.
        """
        if self.bring is not None:
            lacking = [file_id for file_id in dict.fromkeys(file_ids) if not files.is_complete(self, file_id)]
            if lacking:
                self.bring(lacking)

    def read_file(self, file_id: bytes) -> bytes:
        """Return a whole file's content, compared with its id; for files that fit into memory."""
        self.complete([file_id])
        return files.read_file(self, file_id)

    def file_chunks(self, file_id: bytes, *, start: int = 0) -> Iterator[bytes]:
        """Yield a file's content in pieces, from byte `start`; see `files.file_chunks`."""
        self.complete([file_id])
        return files.file_chunks(self, file_id, start=start)

    def file_parts(self, file_id: bytes, *, start: int = 0) -> Iterator[tuple[int, Part]]:
        """Yield (offset, part) of a large file's chunks in order, by its first map."""
        return files.file_parts(self, file_id, start=start)

    def file_size(self, file_id: bytes) -> int:
        """Return a stored file's length in bytes."""
        found = self._find(file_id, Kind.CHUNK)
        return found[1].length if found is not None else files.file_size(self, file_id)

    def file_maps(self, file_id: bytes) -> Iterator[bytes]:
        """Yield the different maps of a large file, best known first."""
        seen = {self.get(file_id, Kind.FILE_MAP)}
        yield from seen
        for ref, place in list(self.packs.find_every(file_id, Kind.FILE_MAP)):
            payload = self.packs.read(ref, place)
            if payload not in seen:
                seen.add(payload)
                yield payload

    # Writing.

    def put(self, kind: Kind, payload: bytes) -> ObjectId:
        """Store an object and return its id; one that is there already costs a look-up."""
        return self._writer().put(kind, payload)

    def put_content(self, data: bytes) -> FileId:
        """Store a file's content given whole and return the file's id."""
        writer = self._ingest or self._writer()
        return FileId(writer.put(Kind.CHUNK, data)) if files.is_small(len(data)) else files.put_content(writer, data)

    def put_stream(self, read: Read, *, note: Note | None = None) -> tuple[FileId, int]:
        """Store what `read(n)` delivers until it returns nothing; see `files.put_stream`."""
        return files.put_stream(self._writer(), read, note=note)

    def put_whole(self, file: Path, *, shared: int | None, read: Read, note: Note | None = None) -> tuple[FileId, int]:
        """Store a large file of the store's own without copying it; see `Ingest.put_whole`."""
        file_id, size = self._writer().put_whole(file, shared=shared, read=read, note=note)
        return FileId(file_id), size

    def rely_on(self, wanted: bytes, kind: Kind) -> bool:
        """Say whether an object is stored; then this process relies on it, which is checked when it publishes."""
        found = self._find(wanted, kind)
        if found is None:
            return False
        self._relied.note(found[0].id, wanted)
        return True

    def adopt(self, ref: PackRef) -> None:
        """Take on a pack that lies in the backend and on no list yet: it counts as stored, and `flush` returns it."""
        with self._lock:
            self.own.add(ref, self._list)
            self.packs.add(ref)

    def take_up(self, refs: Iterable[PackRef]) -> list[PackRef]:
        """Adopt packs that an earlier process stored and did not publish, if they are still there; return them."""
        condemned = set(self._list.condemned) if self._list is not None else set()
        left = [ref for ref in refs if ref.id not in condemned | self._shown | self.own.refs.keys()]
        gone = set(self.backend.missing([ref.key for ref in left]))
        found = [ref for ref in left if ref.key not in gone]
        for ref in found:
            self.adopt(ref)
        return found

    def flush(self) -> list[PackRef]:
        """Make everything that was put durable; return the packs, which the caller publishes.

        They include those of an earlier flush that was not published: what they hold is not stored again.
        """
        if self._ingest is not None:
            self._ingest.finish()
        return list(self.own.refs.values())

    def begin_flush(self) -> Flush:
        """Do what `flush` does; where it is far to the place, packs may be on their way until `calls.settle`."""
        earlier = self.own.refs
        small = self._ingest.small_metadata() if self._ingest is not None else None
        self._behind = self.own.calls.far
        try:
            packs = tuple(self.flush())
        finally:
            self._behind = False
        return Flush(packs, tuple(ref for ref in packs if ref.id not in earlier), small)

    def take_back(self, flush: Flush, *, but: Collection[Kind]) -> None:
        """Put once more what a small pack holds that came to nothing and waits for gc, without the kinds in `but`."""
        self.own.settle()
        if flush.small is not None:
            self.own.disown([ref for ref in flush.fresh if ref.pack_class == PackClass.METADATA])
            for kind, payload in flush.small:
                if kind not in but:
                    self.put(kind, payload)

    def abandon(self) -> None:
        """Forget what was put and not flushed."""
        if self._ingest is not None:
            self._ingest.close()
            self._ingest = None

    def relied_on_gone(self, packs: PackList) -> list[bytes]:
        """Return the packs because of which something was left out and which this newer list does not have."""
        return self._relied.gone({p.id for p in packs.packs} | self.own.refs.keys())

    def check_relied(self, packs: PackList) -> None:
        """Raise CollectedError unless what was left out because it was stored is stored in this newer list too."""
        gone = self.relied_on_gone(packs)
        if gone:
            self.show(packs)
            lost = self._relied.move(gone, self._pack_of)
            if lost:
                raise CollectedError(lost)

    def close(self) -> None:
        """Give back threads and files; what was not flushed is dropped."""
        self.abandon()
        self.own.calls.close()
        self.backend.close()

    def _writer(self) -> Ingest:
        if self._ingest is None:
            self._ingest = Ingest(self.staging, self.rely_on, deliver=self._deliver, level=self._level)
        return self._ingest

    def _pack_of(self, wanted: bytes) -> bytes | None:
        found = next(filter(None, (self.packs.find(wanted, kind) for kind in Kind)), None)
        return None if found is None else found[0].id

    def _deliver(self, ref: PackRef, path: Path) -> None:
        if self._behind:
            self.adopt(ref)
            self.own.send(ref, path)
        else:
            self.backend.put(ref.key, path)
            self.adopt(ref)
        self.delivered += ref.size

    def _taken(self, ids: Collection[bytes]) -> None:
        with self._lock:
            self._relied.forget(ids)
            if self._list is not None:
                self.show(self._list)

    def _find(self, wanted: bytes, kind: Kind) -> tuple[PackRef, Place] | None:
        """Look an object up; where a pack cannot be opened, as long as the list goes on changing."""
        for _ in range(_REREADS):
            seen = self._shown
            try:
                return self.packs.find(wanted, kind)
            except IntegrityError:
                self._show_newest()
                if self._shown == seen:
                    raise
        return self.packs.find(wanted, kind)

    def _show_newest(self) -> None:
        if self._reread is not None:
            packs = self._reread()
            self.show(packs)
            lost = self.own.look(packs, list(self.own.refs.values()))
            if lost:
                raise CollectedError(lost)
