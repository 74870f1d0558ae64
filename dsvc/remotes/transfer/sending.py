"""Send marked objects to another repository: packs as they are where all of a pack goes, else new packs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import NamedTuple

from dsvc.atomic import temporary_name
from dsvc.objects.ids import Kind
from dsvc.objects.packlist import PackClass, PackRef
from dsvc.objects.packwriter import renamed
from dsvc.objects.repack import rewrite_packs
from dsvc.objects.store import ObjectStore
from dsvc.objects.wholes import is_parted
from dsvc.progress import Progress
from dsvc.remotes.transfer.outbox import Outbox, copy_file, link_file
from dsvc.repo.reachable import Marks

TOGETHER = 1 << 20  # so much metadata goes into one pack with the operation that publishes it


class Sent(NamedTuple):
    """What a push sent: packs, objects, and bytes as stored."""

    packs: int
    objects: int
    size: int


class Cargo(NamedTuple):
    """Packs of which everything is to be sent, packs of which a part is, and the marks that say which."""

    marks: Marks
    whole: tuple[PackRef, ...]
    partial: tuple[PackRef, ...]

    @property
    def objects(self) -> int:
        """How many objects that are."""
        return self.marks.count


def cargo(marks: Marks, packs: Iterable[PackRef]) -> Cargo:
    """Sort packs by how much of them is marked."""
    whole, partial = [], []
    for ref in packs:
        marked = marks.marked_in(ref.id)
        if marked == ref.objects:
            whole.append(ref)
        elif marked:
            partial.append(ref)
    return Cargo(marks, tuple(whole), tuple(partial))


def send(
    source: ObjectStore,
    target: ObjectStore,
    load: Cargo,
    outbox: Outbox,
    *,
    whole: Callable[[PackRef], Path],
    jobs: int,
    progress: Progress,
    as_named: bool = False,
) -> Sent:
    """Bring the marked objects of `source` to the place of `target`, which lists them when it publishes next.

    `whole` gives the file of a pack of the source. Packs are copied or made anew in the `outbox`, and are there until
    they have arrived, so that a push that is broken off goes on with them. `as_named`: no pack was ever at that place,
    so that those which go whole may keep their ids (see dsvc.objects.packindex.resalted), and need no copy.

    Raises:
        RemoteError: when the place refuses or cannot be reached; what arrived is used by the next push.
    """
    marks = load.marks
    together, apart = _small_metadata(source, load)
    # What shares its blocks with a working copy here is compressed before it travels.
    shared = {ref.id for ref in load.whole if ref.pack_class == PackClass.BULK and is_parted(source.packs, ref)}
    apart += (ref for ref in load.whole if ref.id in shared)
    entire = [ref for ref in load.whole if ref.id not in shared]
    total = sum(ref.size for ref in entire)
    progress.start("Sending", total_bytes=total or None, unit="packs")
    sent: list[PackRef] = []
    with ThreadPoolExecutor(jobs, thread_name_prefix="dsvc-send") as pool:
        waiting: set[Future[PackRef]] = set()

        def deliver(ref: PackRef, path: Path) -> None:
            outbox.keep(ref, path)
            while len(waiting) >= jobs:  # so many copies lie on the disk
                settle()
            waiting.add(pool.submit(_put, target, ref, outbox))

        def settle() -> None:
            done, _ = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                waiting.discard(future)
                ref = future.result()
                target.adopt(ref)
                sent.append(ref)
                progress.advance(items=1, size=ref.size)

        try:
            for ref in entire:
                copy = outbox.staging() / temporary_name("copy")
                if as_named and link_file(whole(ref), copy):
                    target.packs.learn(ref, source.packs)
                    deliver(ref, copy)
                    continue
                copy_file(whole(ref), copy)
                deliver(renamed(ref, source.packs.index(ref).data, copy), copy)
            for pack_class in PackClass:
                sources = [ref for ref in apart if ref.pack_class == pack_class]
                rewrite_packs(
                    source.packs,
                    sources,
                    outbox.staging,
                    deliver=deliver,
                    keep=lambda ref, position: marks.has(ref.id, position),
                )
            while waiting:
                settle()
        finally:
            for future in waiting:
                future.cancel()
    progress.finish()
    for ref, position in together:
        place = source.packs.index(ref).place_at(position)
        target.put(Kind(place.kind), source.packs.read(ref, place))
    return Sent(len(sent), load.objects, sum(ref.size for ref in sent))


def _small_metadata(source: ObjectStore, load: Cargo) -> tuple[list[tuple[PackRef, int]], list[PackRef]]:
    """Return the places of marked metadata when that is little, and the packs of which a part is to be sent apart."""
    places: list[tuple[PackRef, int]] = []
    size = 0
    for ref in load.partial:
        if ref.pack_class == PackClass.METADATA:
            index = source.packs.index(ref)
            for position in range(index.count):
                if load.marks.has(ref.id, position):
                    places.append((ref, position))
                    size += index.place_at(position).length
                    if size > TOGETHER:
                        return [], list(load.partial)
    return places, [ref for ref in load.partial if ref.pack_class != PackClass.METADATA]


def _put(target: ObjectStore, ref: PackRef, outbox: Outbox) -> PackRef:
    lent = outbox.lend(ref)
    try:
        target.backend.put(ref.key, lent)
    finally:
        lent.unlink(missing_ok=True)
    outbox.arrived(ref)
    return ref
