"""Remember what was not stored because a pack has it already: it must still be there when the work is published."""

from __future__ import annotations

from collections.abc import Callable, Collection

from dsvc.errors import BusyError


class CollectedError(BusyError):
    """Objects that a writer relied on were collected before it published."""

    def __init__(self, count: int) -> None:
        super().__init__(
            f"{count} stored objects were collected by another process while this one ran",
            hint="run the same command again",
        )


class Reliance:
    """Ids by the pack that was relied on. Threads may note at the same time."""

    def __init__(self) -> None:
        self._ids: dict[bytes, set[bytes]] = {}

    def note(self, pack_id: bytes, wanted: bytes) -> None:
        """Remember that an object was left out because this pack has it."""
        self._ids.setdefault(pack_id, set()).add(wanted)

    def forget(self, packs: Collection[bytes]) -> None:
        """Forget what was left out because one of these packs has it."""
        for pack_id in packs:
            self._ids.pop(pack_id, None)

    def gone(self, present: Collection[bytes]) -> list[bytes]:
        """Return the packs that were relied on and are not among those `present`."""
        return [pack_id for pack_id in tuple(self._ids) if pack_id not in present]

    def move(self, gone: Collection[bytes], find: Callable[[bytes], bytes | None]) -> int:
        """Rely on the pack that `find(id)` names for each object of the packs that are gone; count those without."""
        lost = 0
        for pack_id in gone:
            for wanted in list(self._ids[pack_id]):
                found = find(wanted)
                if found is None:
                    lost += 1
                else:
                    self.note(found, wanted)
                    self._ids[pack_id].discard(wanted)
            if not self._ids[pack_id]:
                del self._ids[pack_id]
        return lost
