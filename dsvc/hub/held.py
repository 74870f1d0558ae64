"""The packs that the pushes of one connection brought, where nobody else can change them: several steps may share one.

Each is a link to the file in quarantine as it was when it was offered first. So what is checked is what is listed,
whatever another connection of the account does meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from dsvc.hub.quarantine import Quarantine
from dsvc.objects.ids import PackId
from dsvc.objects.packindex import PackIndex
from dsvc.objects.packlist import PackRef


@dataclass(frozen=True, slots=True)
class _Pack:
    """A pack, and what is known of it.

    `erased` are the files that were purged when it was checked, None before. `listed` are the bits of its objects that
    are listed in the packs `made` for that, `whole` that these are all.
    """

    ref: PackRef
    erased: frozenset[bytes] | None = None
    listed: int = 0
    made: frozenset[PackId] = frozenset()
    whole: bool = False


class Held:
    """Such packs by id, in a folder that lasts as long as the connection."""

    def __init__(self, quarantine: Quarantine) -> None:
        self._quarantine = quarantine
        self._packs: dict[PackId, _Pack] = {}
        self._maps: dict[PackId, list[int]] = {}
        self.burnt: set[PackId] = set()
        """Packs whose ids were in the pool and may have been collected there: they never come back."""
        self.folder = Quarantine(quarantine.held / os.urandom(8).hex())

    def bring(self, ref: PackRef) -> int | None:
        """Take a pack from quarantine, if it is not here yet; return its length in bytes, None where there is none."""
        if ref.id not in self._packs:
            target = self.folder.root / ref.key
            target.parent.mkdir(exist_ok=True)
            with contextlib.suppress(FileExistsError):
                try:
                    os.link(self._quarantine.root / ref.key, target)
                except FileNotFoundError:
                    return None
            self._packs[ref.id] = _Pack(ref)
        return os.stat(self.folder.root / ref.key).st_size

    def packs(self) -> list[PackRef]:
        """Return the packs that are here."""
        return [pack.ref for pack in self._packs.values()]

    def unchecked(self, erased: Collection[bytes]) -> list[PackRef]:
        """Return the packs that were not checked, or when other files were purged than now."""
        return [pack.ref for pack in self._packs.values() if pack.erased != frozenset(erased)]

    def checked(self, refs: Iterable[PackRef], erased: Collection[bytes]) -> None:
        """Take note that packs are what they should be."""
        for ref in refs:
            self._packs[ref.id] = replace(self._packs[ref.id], erased=frozenset(erased))

    def look(self, live: Collection[PackId]) -> None:
        """Forget what was listed in packs that are not listed any more: it may have been collected since."""
        self._packs = {
            i: pack if pack.made.issubset(live) else replace(pack, listed=0, made=frozenset(), whole=False)
            for i, pack in self._packs.items()
        }

    def listed(self, ref: PackRef) -> int:
        """Return the bits of what is listed of a pack."""
        return self._packs[ref.id].listed

    def list_more(self, ref: PackRef, bits: int, made: Sequence[PackRef], *, everything: int) -> None:
        """Take note of what is listed now; `everything` are the bits of all that there is."""
        pack = self._packs[ref.id]
        bits |= pack.listed
        now = pack.made.union(one.id for one in made)
        self._packs[ref.id] = replace(pack, listed=bits, made=now, whole=bits == everything)

    def maps_of(self, ref: PackRef, index: PackIndex) -> list[int]:
        """Return `index.maps()`, which each step of a push asks for."""
        if ref.id not in self._maps:
            self._maps[ref.id] = index.maps()
        return self._maps[ref.id]

    def drop(self, refs: Iterable[PackRef]) -> None:
        """Remove packs, from quarantine too."""
        for ref in refs:
            self._packs.pop(ref.id, None)
            self.folder.delete(ref.key)
            self._quarantine.delete(ref.key)

    def close(self) -> None:
        """End; packs of which something is not listed stay in quarantine, and may be offered once more."""
        self.drop([pack.ref for pack in self._packs.values() if pack.whole])
        self.folder.close()
        shutil.rmtree(self.folder.root, ignore_errors=True)
