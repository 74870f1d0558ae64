"""Which objects in the packs of a push its refs reach: nothing else in them is listed, for all that is can be read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from dsvc.hub.quarantine import Quarantine
from dsvc.objects.filemap import decode_page
from dsvc.objects.ids import Kind, PackId
from dsvc.objects.packlist import PackClass, PackRef
from dsvc.objects.repack import rewrite_packs
from dsvc.objects.store import ObjectStore
from dsvc.repo.reachable import Marks, Target, references


class _Left(NamedTuple):
    """A pack of which not everything is listed yet: the bits of what is, and the file that was checked."""

    ref: PackRef
    listed: int
    file: tuple[int, int, int]


class Held:
    """Checked packs of one connection of which something is not listed yet: the next step of the push may need that."""

    def __init__(self) -> None:
        self._left: dict[PackId, _Left] = {}

    def packs(self, quarantine: Quarantine) -> list[PackRef]:
        """Return those that lie in quarantine as they were when they were checked."""
        self._left = {i: left for i, left in self._left.items() if _file(quarantine, left.ref) == left.file}
        return [left.ref for left in self._left.values()]

    def listed(self, ref: PackRef) -> int:
        """Return the bits of what is listed of a pack."""
        left = self._left.get(ref.id)
        return 0 if left is None else left.listed

    def settle(self, ref: PackRef, listed: int, quarantine: Quarantine) -> None:
        """Take note of what is listed of a pack now."""
        file = _file(quarantine, ref)
        if file is not None:
            self._left[ref.id] = _Left(ref, listed, file)

    def drop(self, ref: PackRef) -> None:
        """Forget a pack that is listed itself."""
        self._left.pop(ref.id, None)


def _file(quarantine: Quarantine, ref: PackRef) -> tuple[int, int, int] | None:
    try:
        found = os.stat(quarantine.root / ref.key)
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


class Needed:
    """Marks in new packs, which a store shows already: `add` each object that is reached, then ask for `packs`."""

    def __init__(self, store: ObjectStore, packs: Sequence[PackRef], held: Held) -> None:
        self._store, self._packs, self._held = store, packs, held
        self._marks = Marks(store.packs, packs)
        self._everything = {ref.id: (1 << store.packs.index(ref).count) - 1 for ref in packs}

    def add(self, target: Target) -> None:
        """Take note of something that is reached."""
        self._marks.mark(target)

    def packs(self, quarantine: Quarantine) -> list[PackRef]:
        """Return packs in quarantine with what is reached and was not listed before: new ones, and such as need not be.

        What else a pack holds is of a later step of the push, of one that was broken off and came back in another
        form, or of somebody who tries things.
        """
        if not all(self._marked(ref) == self._everything[ref.id] for ref in self._packs):
            self._follow_maps()
        whole = [ref for ref in self._packs if self._marked(ref) == self._everything[ref.id]]
        whole = [ref for ref in whole if not self._held.listed(ref)]
        fresh = {
            ref.id: bits.to_bytes(bits.bit_length() // 8 + 1, "little")
            for ref in self._packs
            if ref not in whole and (bits := self._marked(ref) & ~self._held.listed(ref))
        }
        made: list[PackRef] = []

        def deliver(ref: PackRef, path: Path) -> None:
            quarantine.put(ref.key, path)
            made.append(ref)

        def keep(ref: PackRef, position: int) -> bool:
            bits = fresh[ref.id]
            return position >> 3 < len(bits) and bool(bits[position >> 3] >> (position & 7) & 1)

        for pack_class in PackClass:
            rewrite_packs(
                self._store.packs,
                [ref for ref in self._packs if ref.pack_class == pack_class and ref.id in fresh],
                quarantine.staging,
                deliver=deliver,
                keep=keep,
            )
        return [*whole, *made]

    def settle(self, listed: Sequence[PackRef], quarantine: Quarantine) -> None:
        """Remember what is left of the packs, now that the refs are moved and packs are `listed`.

        What is listed in other packs stays in quarantine: the near end looks whether its packs are still there.
        """
        for ref in self._packs:
            if ref in listed:
                self._held.drop(ref)
                quarantine.delete(ref.key)
            else:
                self._held.settle(ref, self._held.listed(ref) | self._marked(ref), quarantine)

    def _marked(self, ref: PackRef) -> int:
        return int.from_bytes(self._marks.bits(ref.id), "little")

    def _follow_maps(self) -> None:
        """Mark what each map of a file that is reached names: whoever follows refs takes one of them."""
        pending: list[Target] = []
        for ref in self._packs:
            for position, (_, place) in enumerate(self._store.packs.index(ref).objects()):
                if place.kind == Kind.FILE_MAP and self._marks.has(ref.id, position):
                    page = decode_page(self._store.packs.read(ref, place))
                    pending += ((Kind.MAP_PAGE if page.level else Kind.CHUNK, part.id) for part in page.parts)
        while pending:
            target = pending.pop()
            if self._marks.mark(target) and target[0] == Kind.MAP_PAGE:
                pending += references(Kind.MAP_PAGE, self._store.get(target[1], Kind.MAP_PAGE))
