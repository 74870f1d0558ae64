"""The commit graph on disk: a derived index that may be deleted at any moment. docs/formats/graph.md.

Commits are numbered so that parents come before children; a number therefore serves as generation number too. The
file is a header, then columns: ids, a hash table from ids to numbers, parents, further parents of merges of more than
two, times, trees, and the index of changed paths (see `dsvc.history.changedpaths`): what is known of each commit,
where segments end, entries. It is mapped, not read: what is paid for at opening is one checksum over all but the
entries. It is replaced as a whole by a rename, so readers keep the one they opened.
"""

from __future__ import annotations

import mmap
import struct
import sys
from array import array
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from pathlib import Path

from blake3 import blake3

from dsvc.history.changedpaths import (
    LISTED,
    NO,
    SEGMENT_BITS,
    TOO_MANY,
    UNKNOWN,
    answer,
    entries_of,
    extended,
    hashes_of,
)
from dsvc.objects.ids import ID_LENGTH, ObjectId, TreeId

MAGIC = b"dsvc graph 2 %.2s\n" % sys.byteorder.encode()  # columns are in the order of the machine that made them
HEADER = struct.Struct("<16sQQQQQ32s32s")  # magic, commits, slots, further parents, segments, entries, two checksums
NO_PARENT = 0xFFFFFFFF
_SEGMENT = 1 << SEGMENT_BITS
_STRIDE = 256
_LATEST = 1 << 62
FURTHER = 0x80000000  # in place of a second parent: an index into the further parents; there: the last one


class CommitGraph:
    """An open commit graph: see `dsvc.history.ancestry.Graph`. Safe to keep while the file is replaced."""

    def __init__(self, data: mmap.mmap) -> None:
        """Map the columns; raises ValueError when this is no graph of this version or it is damaged."""
        if len(data) < HEADER.size:
            raise ValueError("too short")
        magic, count, slots, further, segments, entries, checksum, entries_checksum = HEADER.unpack_from(data)
        if magic != MAGIC:
            raise ValueError("no commit graph")
        self._view = memoryview(data)
        self._at = HEADER.size
        self._count: int = count
        self._entries_checksum = entries_checksum
        self._sound: bool | None = None
        self._answers: dict[tuple[bytes, ...], bytearray] = {}
        ids = count * ID_LENGTH
        columns = (ids, slots * 4, count * 8, further * 4, count * 8, ids, count, segments * 8)
        if HEADER.size + sum(columns) + 8 * entries != len(data) or slots & (slots - 1) or slots <= count:
            raise ValueError("wrong length")
        if blake3(self._view[HEADER.size : HEADER.size + sum(columns)]).digest() != checksum:
            raise ValueError("wrong checksum")
        self.ids = self._take(columns[0])
        self.table = self._take(columns[1]).cast("I")
        self.edges = self._take(columns[2]).cast("I")
        self.further = self._take(columns[3]).cast("I")
        self.times = self._take(columns[4]).cast("q")
        self.trees = self._take(columns[5])
        self.states = self._take(columns[6])
        self.segment_ends = self._take(columns[7]).cast("Q")
        self.entries = self._take(8 * entries).cast("Q")

    def _take(self, size: int) -> memoryview:
        part = self._view[self._at : self._at + size]
        self._at += size
        return part

    def __len__(self) -> int:
        return self._count

    def find(self, commit_id: bytes) -> int | None:
        """Return a commit's number, None where it is not covered."""
        table, mask = self.table, len(self.table) - 1
        slot = int.from_bytes(commit_id[:8], "little") & mask
        while number := table[slot]:
            at = (number - 1) * ID_LENGTH
            if self.ids[at : at + ID_LENGTH] == commit_id:
                return number - 1
            slot = (slot + 1) & mask
        return None

    def commit_id(self, number: int) -> bytes:
        """Return the id of a commit."""
        return bytes(self.ids[number * ID_LENGTH : (number + 1) * ID_LENGTH])

    def parents(self, number: int) -> Sequence[int]:
        """Return the numbers of a commit's parents, in order."""
        first, second = self.edges[2 * number], self.edges[2 * number + 1]
        if second == NO_PARENT:
            return () if first == NO_PARENT else (first,)
        return (first, second) if not second & FURTHER else _many(first, second, self.further)

    def time(self, number: int) -> int:
        """Return when a commit was committed, in microseconds."""
        found: int = self.times[number]
        return found

    def tree_id(self, number: int) -> bytes:
        """Return a commit's tree."""
        return bytes(self.trees[number * ID_LENGTH : (number + 1) * ID_LENGTH])

    def skip(self, number: int, flags: bytearray) -> tuple[int, list[int]]:
        """Go to first parents while the flag of the commit is 0.

        Return the first one with another flag, or without parents, and a few of the commits that were passed.
        """
        edges, passed = self.edges, []
        while True:
            passed.append(number)
            for _ in range(_STRIDE):
                if flags[number]:
                    return number, passed
                first = edges[2 * number]
                if first == NO_PARENT:
                    return number, passed
                number = first

    def segments(self) -> list[memoryview]:
        """Return the index of changed paths; its entries may be damaged: see `is_sound`."""
        ends = [0, *self.segment_ends]
        return [self.entries[start:end] for start, end in pairwise(ends)]

    def is_sound(self) -> bool:
        """Say whether the index of changed paths matches its checksum; reads it all at the first call."""
        if self._sound is None:
            self._sound = blake3(self.entries.cast("B")).digest() == self._entries_checksum
        return self._sound

    def touching(self, paths: Sequence[bytes]) -> bytearray:
        """Say of each commit whether it differs from its first parent in one of these paths: NO, YES or LOOK.

        The result is shared: callers copy what they change.
        """
        key = tuple(paths)
        found = self._answers.get(key)
        if found is None:
            states = bytes(self.states) if self.is_sound() else bytes(self._count)
            found = self._answers[key] = answer(states, self.segments() if self.is_sound() else (), key)
        return found

    def may_touch(self, number: int, paths: Sequence[bytes]) -> bool:
        """Say whether the commit may differ from its first parent in one of these paths; False is certain."""
        return self.touching(paths)[number] != NO


def _many(first: int, second: int, further: Sequence[int]) -> list[int]:
    found, at = [first], second & ~FURTHER
    while not further[at] & FURTHER:
        found.append(further[at])
        at += 1
    return [*found, further[at] & ~FURTHER]


def open_graph(path: Path) -> CommitGraph | None:
    """Return the commit graph at `path`, or None where there is none that can be used."""
    try:
        with path.open("rb") as file:
            return CommitGraph(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError):
        return None


class GraphColumns:
    """The columns of a graph under construction, begun from an older one."""

    def __init__(self, old: CommitGraph | None) -> None:
        self.count = len(old) if old is not None else 0
        self.ids = bytearray(old.ids) if old is not None else bytearray()
        self.trees = bytearray(old.trees) if old is not None else bytearray()
        self.edges, self.further, self.times = array("I"), array("I"), array("q")
        self.states = bytearray()
        self._segments: list[Sequence[int]] = []
        self._listed: defaultdict[int, array[int]] = defaultdict(lambda: array("Q"))
        if old is not None:
            self.edges.frombytes(old.edges.cast("B"))
            self.further.frombytes(old.further.cast("B"))
            self.times.frombytes(old.times.cast("B"))
            sound = old.is_sound()
            self.states = bytearray(old.states) if sound else bytearray(self.count)
            self._segments = list(old.segments()) if sound else []

    def append(self, commit_id: bytes, parents: Sequence[int], *, time: int, tree: bytes) -> int:
        """Add a commit whose parents are there; return its number."""
        self.ids += commit_id
        self.trees += tree
        self.times.append(max(min(time, _LATEST), -_LATEST))
        self.states.append(UNKNOWN)
        first = parents[0] if parents else NO_PARENT
        if len(parents) < 2:
            second = NO_PARENT
        elif len(parents) == 2:
            second = parents[1]
        else:
            second = FURTHER | len(self.further)
            self.further.extend(parents[1:-1])
            self.further.append(FURTHER | parents[-1])
        self.edges.extend((first, second))
        self.count += 1
        return self.count - 1

    def list_paths(self, number: int, paths: Iterable[bytes]) -> None:
        """Put what a commit changed into the index of changed paths."""
        hashes = hashes_of(paths)
        self.states[number] = TOO_MANY if hashes is None else LISTED
        if hashes:
            self._listed[number >> SEGMENT_BITS].extend(entries_of(number, hashes))

    def trees_around(self, number: int) -> tuple[TreeId | None, TreeId]:
        """Return the trees of a commit's first parent and of the commit."""
        first = self.edges[2 * number]
        return None if first == NO_PARENT else self._tree(first), self._tree(number)

    def _tree(self, number: int) -> TreeId:
        return TreeId(ObjectId(bytes(self.trees[number * ID_LENGTH : (number + 1) * ID_LENGTH])))

    def encode(self) -> list[bytes]:
        """Return the file's content in pieces."""
        segments = [
            extended(self._segments[at] if at < len(self._segments) else (), self._listed[at])
            if at in self._listed
            else array("Q", self._segments[at] if at < len(self._segments) else ())
            for at in range((self.count + _SEGMENT - 1) // _SEGMENT)
        ]
        ends = array("Q", accumulate(len(segment) for segment in segments))
        table = self._table()
        columns = [bytes(self.ids), table.tobytes(), self.edges.tobytes(), self.further.tobytes()]
        columns += [self.times.tobytes(), bytes(self.trees), bytes(self.states), ends.tobytes()]
        hasher = blake3()
        for column in columns:
            hasher.update(column)
        entries = b"".join(segment.tobytes() for segment in segments)
        header = HEADER.pack(
            MAGIC,
            self.count,
            len(table),
            len(self.further),
            len(segments),
            len(entries) // 8,
            hasher.digest(),
            blake3(entries).digest(),
        )
        return [header, *columns, entries]

    def _table(self) -> array[int]:
        slots = 16
        while slots < 2 * self.count + 1:
            slots *= 2
        table, mask = array("I", bytes(4 * slots)), slots - 1
        for number in range(self.count):
            slot = int.from_bytes(self.ids[number * ID_LENGTH : number * ID_LENGTH + 8], "little") & mask
            while table[slot]:
                slot = (slot + 1) & mask
            table[slot] = number + 1
        return table
