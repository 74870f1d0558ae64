"""Which deleted file lives on under which new name.

First come files with the same id, then text that is at least half alike (a callback says how much), and large files
by the chunks that they share, which needs no reading of their content.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol, TypeAlias

from dsvc.history.treediff import Change
from dsvc.objects.chunker import SMALL_LIMIT
from dsvc.objects.filemap import Part
from dsvc.objects.store import ObjectMissingError
from dsvc.objects.tree import FILE_KINDS, Entry, EntryKind

LIMIT = 1000
MINIMUM = 50  # percent
_NOT_RENAMED = frozenset({EntryKind.TREE})

Similar: TypeAlias = Callable[[Mapping[bytes, Entry], Mapping[bytes, Entry], int], Iterable[tuple[bytes, bytes, int]]]
"""Given old and new files by path and the least score that counts: (old path, new path, score) with each path once."""


class FileParts(Protocol):
    """Where the chunks of large files are listed: the object store."""

    def file_parts(self, file_id: bytes, *, start: int = 0) -> Iterator[tuple[int, Part]]:
        """Yield (offset, part) of a large file's chunks in order."""


class Rename(NamedTuple):
    """A file that went from one path to another; `score` is how alike they are, 100 for equal content."""

    old_path: bytes
    old: Entry
    new_path: bytes
    new: Entry
    score: int


class RenameLimit(NamedTuple):
    """There were more candidates for a comparison of contents than the limit: some renames may show as two changes."""

    candidates: int
    limit: int


class Renames(NamedTuple):
    """The renames in a list of changes, the changes that are none, and whether a limit left some out."""

    renames: tuple[Rename, ...]
    others: tuple[Change, ...]
    limit: RenameLimit | None = None


def detect(
    changes: Iterable[Change],
    *,
    similar: Similar | None = None,
    parts: FileParts | None = None,
    limit: int = LIMIT,
    minimum: int = MINIMUM,
    empty_files: bool = True,
    sources: Collection[bytes] | None = None,
) -> Renames:
    """Find the renames among `changes` (of one pair of trees); both results are in the order of the changes.

    Without `similar` text is compared by id only, without `parts` large files are. Contents are compared for at most
    `limit` deleted and as many new files, those whose names occur on both sides first. `sources` names the deleted
    paths about which the caller wants to know: for others only equal ids are looked at.
    """
    listed = list(changes)
    gone = {c.path: c.old for c in listed if c.old is not None and c.new is None and _counts(c.old, empty_files)}
    fresh = {c.path: c.new for c in listed if c.new is not None and c.old is None and _counts(c.new, empty_files)}
    found = {new: (old, 100) for old, new in _equal(gone, fresh)}
    for old, _ in found.values():
        gone.pop(old)
    for new in found:
        fresh.pop(new)
    wanted = gone if sources is None else {path: entry for path, entry in gone.items() if path in sources}
    hit = None
    if similar is not None:
        old_texts, new_texts = _fitting(wanted, fresh, minimum, large=False)
        count = max(len(old_texts), len(new_texts))
        if count > limit:
            hit = RenameLimit(count, limit)
            old_texts, new_texts = _shortened(old_texts, new_texts, limit), _shortened(new_texts, old_texts, limit)
        if old_texts and new_texts:
            found |= {new: (old, score) for old, new, score in similar(old_texts, new_texts, minimum)}
    if parts is not None:
        old_large, new_large = _fitting(wanted, fresh, minimum, large=True)
        count = max(len(old_large), len(new_large))
        if count > limit:
            hit = RenameLimit(max(count, hit.candidates if hit else 0), limit)
            old_large, new_large = _shortened(old_large, new_large, limit), _shortened(new_large, old_large, limit)
        found |= {new: (old, score) for old, new, score in _sharing(parts, old_large, new_large, minimum)}
    return _result(listed, found, hit)


def _counts(entry: Entry, empty_files: bool) -> bool:  # noqa: FBT001
    return entry.kind not in _NOT_RENAMED and (empty_files or entry.size > 0)


def _result(changes: list[Change], found: Mapping[bytes, tuple[bytes, int]], hit: RenameLimit | None) -> Renames:
    olds = {c.path: c.old for c in changes if c.new is None}
    moved = {old for old, _ in found.values()}
    renames: list[Rename] = []
    others: list[Change] = []
    for change in changes:
        if change.old is None and change.new is not None and change.path in found:
            old_path, score = found[change.path]
            old = olds[old_path]
            assert old is not None
            renames.append(Rename(old_path, old, change.path, change.new, score))
        elif change.new is not None or change.path not in moved:
            others.append(change)
    return Renames(tuple(renames), tuple(others), hit)


def _equal(gone: Mapping[bytes, Entry], fresh: Mapping[bytes, Entry]) -> list[tuple[bytes, bytes]]:
    """Pair paths of equal content, those of equal base names first."""
    by_content: defaultdict[tuple[object, bytes], list[bytes]] = defaultdict(list)
    for path, entry in gone.items():
        by_content[_content(entry)].append(path)
    pairs: list[tuple[bytes, bytes]] = []
    waiting: list[bytes] = []
    for path, entry in fresh.items():
        sources = by_content.get(_content(entry))
        if sources:
            same = next((s for s in sources if base_name(s) == base_name(path)), None)
            if same is None:
                waiting.append(path)
            else:
                sources.remove(same)
                pairs.append((same, path))
    for path in waiting:
        sources = by_content[_content(fresh[path])]
        if sources:
            pairs.append((sources.pop(0), path))
    return pairs


def _content(entry: Entry) -> tuple[object, bytes]:
    return (EntryKind.FILE if entry.kind in FILE_KINDS else entry.kind), entry.id


def is_alike(a: Entry, b: Entry) -> bool:
    """Say whether two entries are of one sort, where executable files are files."""
    return a.kind == b.kind or (a.kind in FILE_KINDS and b.kind in FILE_KINDS)


def base_name(path: bytes) -> bytes:
    """Return the last part of a path."""
    return path[path.rfind(b"/") + 1 :]


def _fitting(
    gone: Mapping[bytes, Entry], fresh: Mapping[bytes, Entry], minimum: int, *, large: bool
) -> tuple[dict[bytes, Entry], dict[bytes, Entry]]:
    """Return the files for which the other side has one of a size that could reach the least score."""

    def chosen(files: Mapping[bytes, Entry]) -> dict[bytes, Entry]:
        return {p: e for p, e in files.items() if e.kind in FILE_KINDS and e.size and (e.size > SMALL_LIMIT) == large}

    old, new = chosen(gone), chosen(fresh)
    old_sizes, new_sizes = sorted(e.size for e in old.values()), sorted(e.size for e in new.values())
    return (
        {p: e for p, e in old.items() if _has_near(new_sizes, e.size, minimum)},
        {p: e for p, e in new.items() if _has_near(old_sizes, e.size, minimum)},
    )


def _has_near(sizes: list[int], size: int, minimum: int) -> bool:
    # Line ends count one byte less in the comparison of text: the bounds leave some room.
    at = bisect_left(sizes, size * minimum // 110)
    return at < len(sizes) and sizes[at] * minimum <= size * 110


def _shortened(files: Mapping[bytes, Entry], others: Mapping[bytes, Entry], limit: int) -> dict[bytes, Entry]:
    names = {base_name(path) for path in others}
    order = sorted(files, key=lambda path: base_name(path) not in names)
    return {path: files[path] for path in order[:limit]}


def _chunks(store: FileParts, entry: Entry) -> set[tuple[bytes, int]]:
    """Return the chunks of a large file with their lengths; none where the file is not there any more."""
    try:
        return {(part.id, part.length) for _, part in store.file_parts(entry.id)}
    except ObjectMissingError:
        return set()


def _sharing(
    store: FileParts, gone: Mapping[bytes, Entry], fresh: Mapping[bytes, Entry], minimum: int
) -> list[tuple[bytes, bytes, int]]:
    """Pair large files by the bytes in chunks that both have, in percent of the larger file."""
    if not gone or not fresh:
        return []
    holders: defaultdict[bytes, list[bytes]] = defaultdict(list)
    for path, entry in gone.items():
        for chunk, _ in _chunks(store, entry):
            holders[chunk].append(path)
    scores: list[tuple[int, bool, bytes, bytes]] = []
    for path, entry in fresh.items():
        shared: defaultdict[bytes, int] = defaultdict(int)
        for chunk, length in _chunks(store, entry):
            for source in holders.get(chunk, ()):
                shared[source] += length
        for source, length in shared.items():
            score = length * 100 // max(entry.size, gone[source].size)
            if score >= minimum:
                scores.append((-score, base_name(source) != base_name(path), source, path))
    pairs: list[tuple[bytes, bytes, int]] = []
    used: set[bytes] = set()
    taken: set[bytes] = set()
    for score, _, source, path in sorted(scores):
        if source not in used and path not in taken:
            used.add(source)
            taken.add(path)
            pairs.append((source, path, -score))
    return pairs
