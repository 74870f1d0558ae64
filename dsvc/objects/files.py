"""Contents of files in a store: one chunk, or a map of chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from blake3 import blake3

from dsvc.errors import IntegrityError
from dsvc.objects.chunker import SMALL_LIMIT
from dsvc.objects.filemap import Page, Part, chunks, decode_page, length_of
from dsvc.objects.hashed_read import Note, Read
from dsvc.objects.ids import FileId, Kind, ObjectId, content_id

EMPTY_FILE = FileId(content_id(b""))


class ObjectMissingError(IntegrityError):
    """An object that something refers to is not in the store."""

    def __init__(self, wanted: bytes, kind: Kind) -> None:
        name = kind.name.lower().replace("_", " ")
        super().__init__(
            f"{name} {wanted.hex()} is not in the store",
            hint="dsvc fsck",
            details={"id": wanted.hex(), "kind": name},
        )
        self.id, self.kind = ObjectId(wanted), kind


class ObjectDamagedError(IntegrityError):
    """The stored bytes of an object do not match its id."""


class Source(Protocol):
    """What is read from: a store."""

    def has(self, wanted: bytes, kind: Kind) -> bool: ...
    def get(self, wanted: bytes, kind: Kind) -> bytes: ...
    def file_maps(self, file_id: bytes) -> Iterator[bytes]: ...


class Sink(Protocol):
    """What takes contents: the writing half of a store."""

    def put(self, kind: Kind, payload: bytes) -> ObjectId: ...
    def put_large(self, read: Read, *, note: Note | None = None) -> tuple[ObjectId, int]: ...


def read_file(source: Source, file_id: bytes) -> bytes:
    """Return a whole file's content, compared with its id; for files that fit into memory."""
    if source.has(file_id, Kind.CHUNK):
        return source.get(file_id, Kind.CHUNK)
    content = b"".join(file_chunks(source, file_id))
    if content_id(content) != file_id:
        raise ObjectDamagedError(f"file {file_id.hex()} has a map that yields another content", hint="dsvc fsck")
    return content


def file_chunks(source: Source, file_id: bytes, *, start: int = 0) -> Iterator[bytes]:
    """Yield a file's content in pieces, from byte `start`; every chunk is compared with its id.

    Where one map of the file fails, the next one goes on at the byte that was reached.

    Raises:
        ObjectMissingError: where the file or one of its chunks is not stored.
        IntegrityError: where the file cannot be read by any of its maps.
    """
    if source.has(file_id, Kind.CHUNK):
        yield source.get(file_id, Kind.CHUNK)[start:]
        return
    failure: IntegrityError | None = None
    at = start
    for payload in source.file_maps(file_id):
        try:
            for offset, part in chunks(decode_page(payload), _pages(source), start=at):
                data = source.get(part.id, Kind.CHUNK)
                if len(data) != part.length:
                    raise ObjectDamagedError(f"a map of file {file_id.hex()} gives a chunk a wrong length")
                yield data[at - offset :] if offset < at else data
                at = offset + part.length
            return
        except IntegrityError as error:
            failure = failure or error
    if failure is not None:
        raise failure


def file_parts(source: Source, file_id: bytes, *, start: int = 0) -> Iterator[tuple[int, Part]]:
    """Yield (offset, part) of a large file's chunks in order, by its first map."""
    return chunks(decode_page(source.get(file_id, Kind.FILE_MAP)), _pages(source), start=start)


def file_size(source: Source, file_id: bytes) -> int:
    """Return a stored file's length in bytes."""
    if source.has(file_id, Kind.CHUNK):
        return len(source.get(file_id, Kind.CHUNK))
    return length_of(decode_page(source.get(file_id, Kind.FILE_MAP)))


def is_complete(source: Source, file_id: bytes) -> bool:
    """Say whether all of a file's content is stored, by one of its maps; nothing of it is read."""
    if source.has(file_id, Kind.CHUNK):
        return True
    if not source.has(file_id, Kind.FILE_MAP):
        return False
    try:
        return any(
            all(source.has(part.id, Kind.CHUNK) for _, part in chunks(decode_page(payload), _pages(source)))
            for payload in source.file_maps(file_id)
        )
    except IntegrityError:
        return False


def _pages(source: Source) -> Callable[[bytes], Page]:
    return lambda page_id: decode_page(source.get(page_id, Kind.MAP_PAGE))


def put_content(sink: Sink, data: bytes) -> FileId:
    """Store a file's content given whole and return the file's id."""
    if is_small(len(data)):
        return FileId(sink.put(Kind.CHUNK, data))
    view, at = memoryview(data), 0

    def read(size: int) -> memoryview:
        nonlocal at
        at += size
        return view[at - size : at]

    return FileId(sink.put_large(read)[0])


def put_stream(sink: Sink, read: Read, *, note: Note | None = None) -> tuple[FileId, int]:
    """Store what `read(n)` delivers until it returns nothing; return the file's id and length.

    Of a large file `note` hears now and then what the BLAKE3 of its first so many bytes is.
    """
    head = read(SMALL_LIMIT + 1)
    while 0 < len(head) <= SMALL_LIMIT:
        more = read(SMALL_LIMIT + 1 - len(head))
        if not more:
            return FileId(sink.put(Kind.CHUNK, bytes(head))), len(head)
        head = bytes(head) + bytes(more)
    if not head:
        return FileId(sink.put(Kind.CHUNK, b"")), 0
    first: list[bytes | memoryview] = [head]

    def read_on(size: int) -> bytes | memoryview:
        if first:
            start = first.pop()
            return bytes(start) + bytes(read(size - len(start)))
        return read(size)

    file_id, size = sink.put_large(read_on, note=note)
    return FileId(file_id), size


def is_small(size: int) -> bool:
    """Say whether a file of this length is stored as one chunk, whose id is the file's."""
    return size <= SMALL_LIMIT


def hash_content(read: Callable[[int], bytes]) -> FileId:
    """Return the id of the file that `read(n)` delivers, without storing it."""
    hasher = blake3()
    while data := read(1 << 20):
        hasher.update(data)
    return FileId(ObjectId(hasher.digest()))
