"""Read single objects of history wherever they are, here or on a remote, many at once, and mark what has to come over.

For a fetch that takes a part of the history only. Ranges of the remote's packs land in the folder where the transfer is
under way, so what was read here is not asked for again when it is taken in.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dsvc.objects.ahead import frames_of
from dsvc.objects.ids import Kind, object_id
from dsvc.objects.packindex import Place
from dsvc.objects.packlist import PackClass, PackRef
from dsvc.objects.packs import PackSet
from dsvc.objects.store import ObjectStore
from dsvc.remotes.transfer.landing import Landing
from dsvc.remotes.transfer.receiving import WHOLE_BYTES, BadRemoteError
from dsvc.remotes.wrappers.cached import sparing
from dsvc.repo.reachable import Marks, Target
from dsvc.repo.repository import Repository
from dsvc.storage.gathering import Ranges


class NotThereError(Exception):
    """A remote lacks an object; whoever reads says what that means."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self.target = target


class HistoryReader:
    """Reads from `local` what is there and from `remote` everything else; `marks` are of the remote's packs."""

    def __init__(self, local: ObjectStore, remote: Repository, folder: Path, *, jobs: int, name: str) -> None:
        self._local = local
        self._remote = remote.store.packs
        self._jobs = jobs
        self._name = name
        refs = [ref for ref in remote.head.packs.packs if ref.pack_class == PackClass.METADATA]
        with ThreadPoolExecutor(jobs, thread_name_prefix="dsvc-index") as pool:
            list(pool.map(self._remote.index, (ref for ref in refs if not self._remote.has_index(ref))))
        self._landing = Landing(sparing(remote.backend), folder)
        self._packs = PackSet(self._landing)
        self._packs.show(refs)
        self.marks = Marks(self._remote, refs)

    def read(self, targets: Iterable[Target], *, mark: bool = True) -> dict[Target, bytes]:
        """Return the payloads of objects, each compared with its id; mark those that are not here.

        Raises:
            NotThereError: for one that neither side has. BadRemoteError: for one with another content. RemoteError.
        """
        found: dict[Target, bytes] = {}
        far: list[tuple[Target, PackRef, Place]] = []
        for target in targets:
            kind, wanted = target
            if self._local.has(wanted, kind):
                found[target] = self._local.get(wanted, kind)
                continue
            place = self._remote.find(wanted, kind)
            if place is None:
                raise NotThereError(target)
            if mark:
                self.marks.mark(target)
            far.append((target, *place))
        self._landing.fetch(self._ranges(far), jobs=self._jobs)
        for target, ref, at in far:
            payload = self._packs.read(ref, at)
            if object_id(target[0], payload) != target[1]:
                self._landing.forget(ref.key)
                kind_name = target[0].name.lower()
                raise BadRemoteError(
                    f"{self._name} sent damaged data: {kind_name} {target[1].hex()} has another content",
                    hint=f"run the same command again; if it fails again: dsvc fsck --remote {self._name}",
                )
            found[target] = payload
        return found

    def _ranges(self, far: Iterable[tuple[Target, PackRef, Place]]) -> list[tuple[str, Ranges]]:
        positions: dict[PackRef, list[int]] = {}
        for target, ref, _ in far:
            self._packs.learn(ref, self._remote)
            position = self._packs.index(ref).position(target[1])
            assert position is not None, "it was found there"
            positions.setdefault(ref, []).append(position)
        return [
            (
                ref.key,
                [(0, ref.index_offset)]
                if ref.index_offset <= WHOLE_BYTES
                else frames_of(self._packs.index(ref), wanted),
            )
            for ref, wanted in positions.items()
        ]


__all__ = ["HistoryReader", "Kind", "NotThereError"]
