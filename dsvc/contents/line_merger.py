"""Merge commits by what is in their files: by drivers where a file has one, else by lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import cast

from dsvc.contents.attributes import NO_ATTRIBUTES, Attributes, attributes_of_tree
from dsvc.contents.driver import ContentMerge, Driver, MergeLabels, Settings, Source, UnfitError
from dsvc.contents.drivers import by_head, by_name, chosen
from dsvc.contents.kinds import is_binary
from dsvc.contents.likeness import similar_files
from dsvc.contents.text_merge import Favor, Style, TextMergeFailedError, merge
from dsvc.history.ancestry import Ancestry
from dsvc.history.datasets import reference_merger
from dsvc.history.mergecommits import CommitMerger
from dsvc.history.mergeentry import ContentRequest, MergedContent
from dsvc.objects.ids import TreeId
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import Entry

TEXT_LIMIT = 64 << 20
"""Bytes of one side above which a file is not merged by lines: both sides are kept beside each other then."""

_HEAD = 64


@dataclass(frozen=True, slots=True)
class ContentMerger:
    """Merges files by their drivers or by lines: a `MergeContent` of `dsvc.history.mergeentry`.

    With `favor` each conflict is settled for that side, also where contents cannot be merged. The attributes of files
    are those of the tree that is merged into, so that everybody who makes a merge again comes to the same.
    """

    store: ObjectStore
    style: Style
    favor: Favor | None = None
    _attributes: dict[TreeId, Attributes] = field(default_factory=dict)

    def __call__(self, request: ContentRequest) -> MergedContent | None:
        """Merge and store; None for what cannot be merged, such as binary and very large files."""
        attributes = self._attributes_of(request).of(request.path)
        way = chosen(request.path, attributes, "merge") or by_head(self._source(request.ours).head(_HEAD))
        notes: tuple[str, ...] = ()
        driver = by_name(way) if way is not None else None
        if driver is not None:
            merged = self._by_driver(driver, request, Settings(request.path, attributes))
            if not isinstance(merged, str):
                return merged
            notes = (merged,) if "merge" in attributes or not request.depth else ()
        favor = self.favor
        if way in ("union", "ours", "theirs"):
            favor = cast("Favor", way)
        found = self._by_lines(request, favor) if way != "binary" else None
        if found is not None:
            return MergedContent(*found, notes=notes)
        if request.depth or favor not in ("ours", "theirs"):
            return MergedContent(b"", 0, apart=True, notes=notes) if notes else None
        side = request.ours if favor == "ours" else request.theirs
        return MergedContent(side.id, side.size, notes=notes)

    def _by_driver(self, driver: Driver, request: ContentRequest, settings: Settings) -> MergedContent | None | str:
        """Merge by a driver; a sentence where it did not do it."""
        entries = (request.base, request.ours, request.theirs)
        base, ours, theirs = (self._source(e) if e is not None else None for e in entries)
        assert ours is not None
        assert theirs is not None
        if any(e.size > driver.MERGE_LIMIT for e in entries if e is not None):
            return f"{settings.shown}: larger than {driver.MERGE_LIMIT >> 20} MiB, so not merged as {driver.NAME}"
        labels = MergeLabels(
            _one_line(request.base_label),
            _one_line(request.ours_label),
            _one_line(request.theirs_label),
            favor="base" if request.depth else self.favor if self.favor in ("ours", "theirs") else None,
            show_base=self.style != "merge",
        )
        try:
            merged = driver.merge(base, ours, theirs, labels, settings)
            return self._stored(merged, settings, told=not request.depth)
        except UnfitError as error:
            return _printable(f"{settings.shown} was not merged as {driver.NAME}: {error}")
        except (RecursionError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            # A file that a driver trips over must not stop a merge: lines still can be merged.
            return f"{settings.shown} was not merged as {driver.NAME}: {type(error).__name__}"

    def _stored(self, merged: ContentMerge, settings: Settings, *, told: bool) -> MergedContent:
        notes = tuple(_printable(f"{settings.shown}: {note}") for note in merged.notes) if told else ()
        if merged.content is None:
            return MergedContent(b"", 0, apart=True, notes=notes)
        file_id, size = self.store.put_stream(_reader(merged.content))
        return MergedContent(file_id, size, merged.conflicts, notes=notes)

    def _by_lines(self, request: ContentRequest, favor: Favor | None) -> tuple[bytes, int, int] | None:
        sides = (request.base, request.ours, request.theirs)
        texts = None if any(e.size > TEXT_LIMIT for e in sides if e is not None) else self._texts(sides)
        if texts is None:
            return None
        try:
            merged = merge(
                *texts,
                base_label=_one_line(request.base_label),
                ours_label=_one_line(request.ours_label),
                theirs_label=_one_line(request.theirs_label),
                style="diff3" if request.depth and self.style == "zdiff3" else self.style,
                favor=None if request.depth else favor,
            )
        except TextMergeFailedError:
            return None
        return self.store.put_content(merged.content), len(merged.content), merged.conflicts

    def _attributes_of(self, request: ContentRequest) -> Attributes:
        if request.tree is None:
            return NO_ATTRIBUTES
        known = self._attributes.get(request.tree)
        if known is None:
            known = self._attributes[request.tree] = attributes_of_tree(self.store, request.tree)
        return known

    def _source(self, entry: Entry) -> Source:
        return Source(entry.size, lambda: self.store.file_chunks(entry.id))

    def _texts(self, sides: tuple[Entry | None, Entry, Entry]) -> tuple[bytes, bytes, bytes] | None:
        base, ours, theirs = (b"" if e is None else self.store.read_file(e.id) for e in sides)
        if is_binary(base) or is_binary(ours) or is_binary(theirs):
            return None
        return base, ours, theirs


def line_merger(
    store: ObjectStore, ancestry: Ancestry, *, style: Style = "merge", favor: Favor | None = None
) -> CommitMerger:
    """Return what merges commits of `store`, file by file, and follows renames."""

    def read(_path: bytes, entry: Entry) -> bytes:
        return store.read_file(entry.id)

    content = ContentMerger(store, style, favor)
    reference = reference_merger(store)
    similar = similar_files(read, read, complete=store.complete)
    return CommitMerger(store, ancestry, content, similar=similar, reference=reference)


def _reader(pieces: Iterable[bytes]) -> _Pieces:
    return _Pieces(iter(pieces))


@dataclass(slots=True)
class _Pieces:
    """Reads pieces as a stream of bytes."""

    pieces: Iterator[bytes]
    left: memoryview = field(default_factory=lambda: memoryview(b""))

    def __call__(self, size: int) -> bytes | memoryview:
        """Return at most `size` bytes, none at the end."""
        while not self.left:
            piece = next(self.pieces, None)
            if piece is None:
                return b""
            self.left = memoryview(piece)
        found, self.left = self.left[:size], self.left[size:]
        return found


def _printable(text: str) -> str:
    """Return a note without what a terminal would take for a command: it may hold words of a file."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _one_line(label: bytes) -> bytes:
    return label.replace(b"\n", b" ").replace(b"\r", b" ")
