"""Which objects in the packs of a push its refs reach: nothing else in them is listed, for all that is can be read."""

from __future__ import annotations

from pathlib import Path

from dsvc.hub.held import Held
from dsvc.objects.filemap import decode_page
from dsvc.objects.ids import Kind, PackId
from dsvc.objects.packlist import PackClass, PackRef
from dsvc.objects.repack import rewrite_packs
from dsvc.objects.store import ObjectStore
from dsvc.repo.reachable import Marks, Target, references


class Needed:
    """Marks in held packs, which a store shows already: `add` each object that is reached, then `choose` packs."""

    def __init__(self, store: ObjectStore, held: Held) -> None:
        self._store, self._held, self._packs = store, held, held.packs()
        self._marks = Marks(store.packs, self._packs)
        self._everything = {ref.id: (1 << store.packs.index(ref).count) - 1 for ref in self._packs}
        self.whole: list[PackRef] = []
        """Packs that are to be listed as they are."""
        self.made: list[PackRef] = []
        """New packs with what is to be listed of others."""

    def add(self, target: Target) -> None:
        """Take note of something that is reached."""
        self._marks.mark(target)

    def choose(self) -> None:
        """Find the packs that hold what is reached and is not listed, and make those that are needed for that.

        What else is in a pack is of a later step of the push, of one that was broken off and came back in another
        form, or of somebody who tries things.
        """
        if not all(self._marked(ref) == self._everything[ref.id] for ref in self._packs):
            self._follow_maps()
        fresh: dict[PackId, list[int]] = {}
        for ref in self._packs:
            bits = self._marked(ref) & ~self._held.listed(ref)
            if bits == self._everything[ref.id] and ref.id not in self._held.burnt:
                self.whole.append(ref)
            elif bits:
                fresh[ref.id] = _positions(bits)

        def deliver(ref: PackRef, path: Path) -> None:
            self._held.folder.put(ref.key, path)
            self.made.append(ref)

        for pack_class in PackClass:
            rewrite_packs(
                self._store.packs,
                [ref for ref in self._packs if ref.pack_class == pack_class and ref.id in fresh],
                self._held.folder.staging,
                deliver=deliver,
                only=fresh,
            )

    def others(self) -> list[PackRef]:
        """Return the packs that are not listed as they are."""
        chosen = {ref.id for ref in self.whole}
        return [ref for ref in self._packs if ref.id not in chosen]

    def settle(self) -> None:
        """Remember what is listed, now that the refs are moved."""
        for ref in self.made:
            self._held.folder.delete(ref.key)
        for ref in self.others():
            self._held.list_more(ref, self._marked(ref), self.made, everything=self._everything[ref.id])
        self._held.drop(self.whole)

    def _marked(self, ref: PackRef) -> int:
        return int.from_bytes(self._marks.bits(ref.id), "little")

    def _follow_maps(self) -> None:
        """Mark what each map of a file that is reached names: whoever follows refs takes one of them."""
        pending: list[Target] = []
        for ref in self._packs:
            index = self._store.packs.index(ref)
            for position in self._held.maps_of(ref, index):
                if self._marks.has(ref.id, position):
                    page = decode_page(self._store.packs.read(ref, index.place_at(position)))
                    pending += ((Kind.MAP_PAGE if page.level else Kind.CHUNK, part.id) for part in page.parts)
        seen: set[bytes] = set()
        while pending:
            kind, wanted = pending.pop()
            self._marks.mark((kind, wanted))
            if kind == Kind.MAP_PAGE and wanted not in seen:
                seen.add(wanted)
                pending += references(Kind.MAP_PAGE, self._store.get(wanted, Kind.MAP_PAGE))


def _positions(bits: int) -> list[int]:
    """Return the numbers of the bits that are set."""
    row = bits.to_bytes(bits.bit_length() // 8 + 1, "little")
    return [8 * at + bit for at, byte in enumerate(row) if byte for bit in range(8) if byte >> bit & 1]
