"""Bring marked objects from the packs of another repository into this one, each compared with its id.

A pack of which everything is wanted comes as it is. Of others the frames that hold something wanted are fetched, and
what is wanted of them goes into new packs. Packs are handled in groups, so that disk and memory stay bounded, and a
finished pack is in the store at once: a fetch that is broken off goes on behind the last of them.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from dsvc.atomic import temporary_name
from dsvc.errors import IntegrityError
from dsvc.objects.ahead import frames_of, groups_by_bytes
from dsvc.objects.filemap import Part, chunks, decode_page
from dsvc.objects.ids import Kind
from dsvc.objects.packindex import NO_BASE, PackIndex
from dsvc.objects.packlist import PackClass, PackRef
from dsvc.objects.packs import PackSet
from dsvc.objects.packwriter import renamed
from dsvc.objects.repack import rewrite_packs
from dsvc.objects.store import ObjectStore
from dsvc.objects.verify import verify_objects, verify_outline
from dsvc.progress import Progress
from dsvc.remotes.transfer.arrivals import Arrivals
from dsvc.remotes.transfer.landing import Landing, coalesced
from dsvc.repo.reachable import Marks, decode_whole
from dsvc.storage.backend import Backend
from dsvc.storage.gathering import Ranges

GROUP_BYTES = 96 << 20  # stored bytes that are fetched before they are checked and taken in
WHOLE_BYTES = 256 << 10  # a smaller pack is fetched with one request, whatever is wanted of it


class BadRemoteError(IntegrityError):
    """A remote sent something else than its ids say."""


@dataclass(frozen=True, slots=True)
class Received:
    """What a fetch received: objects, packs that were made or taken, and stored bytes that came over the wire."""

    objects: int = 0
    packs: int = 0
    size: int = 0

    def __add__(self, other: Received) -> Received:
        return Received(self.objects + other.objects, self.packs + other.packs, self.size + other.size)


class Job(NamedTuple):
    """A pack of the remote, the ranges of it that are wanted, and whether that is all of it."""

    ref: PackRef
    ranges: Ranges
    whole: bool

    @property
    def size(self) -> int:
        """How many bytes will be fetched."""
        return sum(end - start for start, end in self.ranges)


class EarlyFiles(Protocol):
    """Takes the content of some files as it arrives."""

    def begin(self, store: ObjectStore) -> None:
        """Hear that commits and trees are in `store` by now."""

    def wanted(self) -> Collection[bytes]:
        """Return the ids of large files whose chunks shall be named."""

    def expect(self, file_id: bytes, parts: Iterable[tuple[int, Part]]) -> None:
        """Hear of the chunks of such a file, each with its offset there. They are what a map claims."""

    def take(self, chunk_id: bytes, content: bytes | memoryview) -> None:
        """Hear of a chunk that arrived and matches its id; all that arrive are told. It is valid until this returns."""


class Receiver:
    """Takes objects from the packs of `remote` into `store`; `folder` is for what is under way."""

    def __init__(
        self,
        remote: Backend,
        refs: Iterable[PackRef],
        store: ObjectStore,
        folder: Path,
        *,
        indexes: PackSet,
        jobs: int,
        progress: Progress,
        name: str,
    ) -> None:
        self._landing = Landing(remote, folder)
        self._packs = PackSet(self._landing)
        self._packs.show(refs)
        self._indexes = indexes
        self._arrivals = Arrivals(folder)
        store.take_up(self._arrivals.packs())
        self._store = store
        self._jobs = jobs
        self._progress = progress
        self._name = name
        self.early: EarlyFiles | None = None

    def receive(self, marks: Marks, *, label: str) -> Received:
        """Take in everything that is marked; safe to call again after it was broken off.

        Raises:
            BadRemoteError: when an object has another content than its id says. RemoteError: when it breaks off.
        """
        jobs = [job for ref in self._packs.refs() if (job := self._job(marks, ref)) is not None]
        if not jobs:
            return Received()
        self._progress.start(label, total_bytes=sum(job.size for job in jobs), unit="packs")
        received = Received(objects=marks.count)
        groups = list(groups_by_bytes(jobs, lambda job: job.size, most=GROUP_BYTES))
        if self.early is not None and len(groups) > 1:
            self._hear(self.early, jobs)
        for group in groups:
            received += self._group(marks, group)
        self._progress.finish()
        return received

    def _job(self, marks: Marks, ref: PackRef) -> Job | None:
        marked = marks.marked_in(ref.id)
        if not marked:
            return None
        self._packs.learn(ref, self._indexes)
        if marked == ref.objects:
            return Job(ref, [(0, ref.size)], whole=True)
        index = self._packs.index(ref)
        if ref.index_offset <= WHOLE_BYTES:
            return Job(ref, [(0, ref.index_offset)], whole=False)
        frames = {index.place_at(p).frame for p in range(index.count) if marks.has(ref.id, p)}
        ranges: Ranges = []
        for number in frames:
            step = number
            while step != NO_BASE:
                frame = index.frame(step)
                ranges.append((frame.offset, frame.offset + frame.stored))
                step = frame.base
        return Job(ref, coalesced(ranges), whole=False)

    def _group(self, marks: Marks, group: list[Job]) -> Received:
        made: list[PackRef] = []

        def keep(ref: PackRef, position: int) -> bool:
            return marks.has(ref.id, position)

        def deliver(ref: PackRef, path: Path) -> None:
            self._store.backend.put(ref.key, path)
            self._arrivals.note(ref)
            self._store.adopt(ref)
            made.append(ref)

        maps = {job.ref.key: self._maps(job) for job in group} if self.early is not None else {}
        wanted = [*maps.items(), *((job.ref.key, job.ranges) for job in group)]  # maps ahead of what they tell of
        with self._landing.arriving(
            wanted,
            jobs=self._jobs,
            advance=lambda size: self._progress.advance(size=size),
            staying=[job.ref.key for job in group if job.whole],
        ) as all_here:
            if self.early is not None:
                self._announce(self.early, group)
            self._check(group, keep, all_here)
        for job in group:
            if job.whole:
                part = self._landing.path(job.ref.key)
                lent = self._store.staging() / temporary_name("fetched")
                os.replace(part, lent)
                deliver(renamed(job.ref, self._packs.index(job.ref).data, lent), lent)
        for pack_class in PackClass:
            sources = [job.ref for job in group if not job.whole and job.ref.pack_class == pack_class]
            rewrite_packs(self._packs, sources, self._store.staging, deliver=deliver, keep=keep)
        for job in group:
            self._landing.forget(job.ref.key)
            self._progress.advance(items=1)
        return Received(packs=len(made), size=sum(job.size for job in group))

    def _hear(self, early: EarlyFiles, jobs: list[Job]) -> None:
        """Bring the maps of files that reach over several groups ahead of all of them."""
        whole = [job for job in jobs if job.whole]
        indexes = [self._packs.index(job.ref) for job in whole]
        if any(_map_in(index, file_id) for file_id in early.wanted() for index in indexes):
            maps = [(job.ref.key, self._maps_in(job, early.wanted())) for job in whole]
            self._landing.fetch(maps, jobs=self._jobs)  # not counted: whole parts come later, with these in them
            self._announce(early, jobs)

    def _maps(self, job: Job) -> Ranges:
        """Return where in a whole pack with maps of wanted files these lie, and the pages that belong to any."""
        if not job.whole or self.early is None:
            return []
        index, wanted = self._packs.index(job.ref), self.early.wanted()
        return self._maps_in(job, wanted) if any(_map_in(index, file_id) for file_id in wanted) else []

    def _maps_in(self, job: Job, wanted: Collection[bytes]) -> Ranges:
        index = self._packs.index(job.ref)
        found = (
            number
            for number, (object_id, place) in enumerate(index.objects())
            if place.kind == Kind.MAP_PAGE or (place.kind == Kind.FILE_MAP and object_id in wanted)
        )
        return coalesced(frames_of(index, found))

    def _announce(self, early: EarlyFiles, group: list[Job]) -> None:
        """Name the chunks of files whose maps are here, or arrive with this group; nothing is compared yet."""
        indexes = [(job.ref, self._packs.index(job.ref)) for job in group if job.whole]

        def read(wanted: bytes, kind: Kind) -> bytes:
            for ref, index in indexes:
                for place in index.find_all(wanted):
                    if place.kind == kind:
                        return self._packs.read(ref, place)
            return self._store.get(wanted, kind)

        for file_id in list(early.wanted()):
            here = self._store.has(file_id, Kind.FILE_MAP)
            if here or any(_map_in(index, file_id) for _, index in indexes):
                with contextlib.suppress(IntegrityError):  # pages that come later, or damage, which is found below
                    top = decode_page(read(file_id, Kind.FILE_MAP))
                    early.expect(file_id, list(chunks(top, lambda i: decode_page(read(i, Kind.MAP_PAGE)))))

    def _check(
        self, group: list[Job], keep: Callable[[PackRef, int], bool], all_here: Callable[[], None]
    ) -> None:
        """Compare everything with its id as it lands; what does not match is forgotten, so that it is fetched anew."""
        refs = [job.ref for job in group]
        seen = self.early.take if self.early is not None else None
        faults = list(
            verify_objects(self._packs, refs, check=decode_whole, advance=lambda *_: None, keep=keep, seen=seen)
        )
        all_here()
        faults += [f for job in group if job.whole and (f := verify_outline(self._landing, self._packs, job.ref))]
        if faults:
            for ref in refs:
                if ref.id in {fault.pack for fault in faults}:
                    self._landing.forget(ref.key)
            raise BadRemoteError(
                f"{self._name} sent damaged data: {faults[0].message}",
                hint=f"run the same command again; if it fails again: dsvc fsck --remote {self._name}",
                details={"pack": faults[0].pack.hex()},
            )


def _map_in(index: PackIndex, file_id: bytes) -> bool:
    return any(place.kind == Kind.FILE_MAP for place in index.find_all(file_id))
