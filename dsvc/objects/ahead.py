"""Which ranges of packs a piece of work will read, so that a place far away is asked for them at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from dsvc.objects.ids import Kind
from dsvc.objects.packindex import NO_BASE, PackIndex
from dsvc.objects.packref import PackClass, PackRef
from dsvc.objects.packs import PackSet
from dsvc.progress import Progress
from dsvc.storage.backend import Backend
from dsvc.storage.gathering import Gathers, Ranges, gather

GROUP_BYTES = 96 << 20  # stored bytes that are gathered before they are worked on
_MAPS = frozenset({Kind.FILE_MAP, Kind.MAP_PAGE})
_THREADS = 8

_T = TypeVar("_T")

Keep = Callable[[PackRef, int], bool]  # (pack, position in its index): is this object read?


def groups_by_bytes(items: Iterable[_T], size: Callable[[_T], int], *, most: int = GROUP_BYTES) -> Iterator[list[_T]]:
    """Yield the items in groups of about `most` bytes; a group ends with the item that reaches it."""
    group: list[_T] = []
    total = 0
    for item in items:
        group.append(item)
        total += size(item)
        if total >= most:
            yield group
            group, total = [], 0
    if group:
        yield group


def frames_of(index: PackIndex, positions: Iterable[int]) -> Ranges:
    """Return the ranges of a pack in which the objects at these positions of its index lie, bases included."""
    numbers: set[int] = set()
    for position in positions:
        step = index.place_at(position).frame
        while step != NO_BASE and step not in numbers:
            numbers.add(step)
            step = index.frame(step).base
    frames = (index.frame(number) for number in sorted(numbers))
    return [(frame.offset, frame.offset + frame.stored) for frame in frames]


def gather_indexes(backend: Backend, packs: PackSet, refs: Iterable[PackRef]) -> None:
    """Read the indexes of packs that no segment has, several at once.

    Raises:
        IntegrityError: when one of them cannot be used.
    """
    wanted = [ref for ref in refs if not packs.has_index(ref)]
    if isinstance(backend, Gathers) and len(wanted) > 1:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(_THREADS, thread_name_prefix="dsvc-index") as pool:
            list(pool.map(packs.index, wanted))


def gather_history(backend: Backend, packs: PackSet, refs: Iterable[PackRef], *, progress: Progress) -> None:
    """Bring near what following references reads: metadata, and the maps of large files. No content comes along.

    Raises:
        IntegrityError: when a pack cannot be used.
    """
    if not isinstance(backend, Gathers):
        return
    listed = list(refs)
    gather_indexes(backend, packs, listed)
    wanted: list[tuple[str, Ranges]] = []
    for ref in listed:
        if ref.pack_class == PackClass.METADATA:
            wanted.append((ref.key, [(0, ref.index_offset)]))
        elif ref.pack_class == PackClass.BULK:
            index = packs.index(ref)
            maps = frames_of(index, (p for p in range(index.count) if index.place_at(p).kind in _MAPS))
            wanted += [(ref.key, maps)] if maps else []
    progress.start("Reading history", total_bytes=sum(b - a for _, ranges in wanted for a, b in ranges), unit="packs")
    gather(backend, wanted, advance=lambda size: progress.advance(size=size))
    progress.finish()


def in_groups(backend: Backend, packs: PackSet, refs: Iterable[PackRef], keep: Keep | None) -> Iterator[list[PackRef]]:
    """Yield the packs in groups, each gathered when its turn comes; content of the group before is given back."""
    listed = list(refs)
    if not isinstance(backend, Gathers):
        if listed:
            yield listed
        return
    gather_indexes(backend, packs, listed)
    group: list[PackRef] = []
    wanted: list[tuple[str, Ranges]] = []
    size = 0
    for number, ref in enumerate(listed):
        index = packs.index(ref)
        if keep is None:
            ranges = [(0, ref.index_offset)]
        else:
            ranges = frames_of(index, (p for p in range(index.count) if keep(ref, p)))
        group.append(ref)
        wanted.append((ref.key, ranges))
        size += sum(end - start for start, end in ranges)
        if size >= GROUP_BYTES or number == len(listed) - 1:
            backend.gather(wanted)
            yield group
            backend.forget(ref.key for ref in group if ref.pack_class != PackClass.METADATA)
            group, wanted, size = [], [], 0
