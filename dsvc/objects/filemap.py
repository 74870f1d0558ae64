"""The map of a large file: which chunks it is cut into, as pages that are never loaded all at once.

A page lists (id, length) of chunks (level 0) or of pages (level n). Pages end behind an id whose last byte is
zero, so that two versions of a file share most of theirs. The map itself is the topmost page, stored under the
file's id. A map is a claim: what it yields is checked against the ids. docs/formats/file-map.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from dsvc.objects import codec
from dsvc.objects.codec import BadEncodingError
from dsvc.objects.ids import ID_LENGTH, ObjectId

MIN_PAGE = 64
MAX_PAGE = 1024
MAX_LEVEL = 8


class Part(NamedTuple):
    """A chunk, or a page that covers many: id and plain length in bytes."""

    id: bytes
    length: int


class Page(NamedTuple):
    """A decoded page: its level and what it lists."""

    level: int
    parts: tuple[Part, ...]


class MapBuilder:
    """Collects the chunks of one file and stores pages as they fill."""

    __slots__ = ("_levels", "_put_page")

    def __init__(self, put_page: Callable[[bytes], ObjectId]) -> None:
        self._put_page = put_page
        self._levels: list[list[Part]] = [[]]

    def add(self, part: Part, level: int = 0) -> None:
        """Append a chunk."""
        if level == len(self._levels):
            self._levels.append([])
        parts = self._levels[level]
        parts.append(part)
        if len(parts) >= MIN_PAGE and (len(parts) == MAX_PAGE or part.id[-1] == 0):
            self._close(level)

    def finish(self) -> bytes:
        """Return the payload of the map."""
        level = 0
        while level + 1 < len(self._levels):
            if self._levels[level]:
                self._close(level)
            level += 1
        parts = self._levels[level]
        return encode_page(level, parts)

    def _close(self, level: int) -> None:
        parts, self._levels[level] = self._levels[level], []
        page_id = self._put_page(encode_page(level, parts))
        self.add(Part(page_id, sum(p.length for p in parts)), level + 1)


def encode_page(level: int, parts: list[Part]) -> bytes:
    """Return the bytes of a page."""
    return codec.encode_plain([level, b"".join(p.id for p in parts), [p.length for p in parts]])


def decode_page(payload: bytes) -> Page:
    """Return the page that `payload` encodes.

    Raises:
        BadEncodingError: when it is none.
    """
    value = codec.decode_plain(payload)
    if len(value) == 3:
        level, ids, lengths = value
        if (
            type(level) is int
            and 0 <= level <= MAX_LEVEL
            and type(ids) is bytes
            and type(lengths) is tuple
            and len(ids) == ID_LENGTH * len(lengths)
            and 0 < len(lengths) <= MAX_PAGE
            and all(type(n) is int and n > 0 for n in lengths)
        ):
            starts = range(0, len(ids), ID_LENGTH)
            parts = (Part(ids[at : at + ID_LENGTH], n) for at, n in zip(starts, lengths, strict=True))  # type: ignore[arg-type]
            return Page(level, tuple(parts))
    raise BadEncodingError("a page of a file map is not of its form")


def chunks(page: Page, get_page: Callable[[bytes], Page], *, start: int = 0) -> Iterator[tuple[int, Part]]:
    """Yield (offset in the file, chunk) in order, from the chunk that holds the byte at `start`.

    Raises:
        BadEncodingError: where a page below has another level or covers another length than is said of it.
    """
    yield from _chunks(page, get_page, start, 0)


def _chunks(page: Page, get_page: Callable[[bytes], Page], start: int, offset: int) -> Iterator[tuple[int, Part]]:
    for part in page.parts:
        end = offset + part.length
        if end > start:
            if page.level == 0:
                yield offset, part
            else:
                below = get_page(part.id)
                if below.level != page.level - 1 or sum(p.length for p in below.parts) != part.length:
                    raise BadEncodingError("a page of a file map does not fit the page above it")
                yield from _chunks(below, get_page, start, offset)
        offset = end


def length_of(page: Page) -> int:
    """Return how many bytes of the file a page covers."""
    return sum(part.length for part in page.parts)
