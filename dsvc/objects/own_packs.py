"""Packs that this process has stored and that no list names yet: gc may take them for those of a writer that died."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from dsvc.objects.ids import Kind
from dsvc.objects.packlist import PackClass, PackList, PackRef
from dsvc.objects.reliance import CollectedError
from dsvc.objects.round_trips import RoundTrips
from dsvc.storage.backend import Backend

_SMALL = 8192  # bytes of a pack that is kept in memory until somebody asks for it


class Flush(NamedTuple):
    """What one flush came to: `packs` to list, those of them that it made, and what its pack of metadata holds.

    `small` is None when that metadata was more than one group, or nothing.
    """

    packs: tuple[PackRef, ...]
    fresh: tuple[PackRef, ...]
    small: tuple[tuple[Kind, bytes], ...] | None


class OwnPacks:
    """The unpublished packs of one store, by id. One thread adds and checks; any may look.

    `calls` are those to their place that need not wait for each other.
    """

    def __init__(self, backend: Backend, taken: Callable[[Collection[bytes]], None]) -> None:
        """`taken(ids)` hears of packs that do not count as stored any more; threads may call it."""
        self.calls = RoundTrips()
        self.refs: dict[bytes, PackRef] = {}
        self._backend = backend
        self._taken = taken
        self._since: PackList | None = None  # the list that was shown when the first of them came
        self._bodies: dict[bytes, bytes] = {}
        self._lost = 0  # objects in such packs that were collected, of which nobody was told yet
        self._lock = threading.Lock()

    def add(self, ref: PackRef, shown: PackList | None) -> None:
        """Take on a pack, stored while this list was shown."""
        with self._lock:
            if not self.refs:
                self._since = shown
            self.refs = {**self.refs, ref.id: ref}

    def drop(self, ids: Collection[bytes]) -> None:
        """Forget packs that are listed now."""
        with self._lock:
            self.refs = {pack_id: ref for pack_id, ref in self.refs.items() if pack_id not in ids}

    def disown(self, refs: Iterable[PackRef]) -> None:
        """Let packs not count as stored any more; they stay where they are."""
        ids = {ref.id for ref in refs}
        self.drop(ids)
        self._taken(ids)

    def send(self, ref: PackRef, path: Path) -> None:
        """Store a finished pack that was added already, perhaps later than this returns; see `settle`."""
        if ref.pack_class == PackClass.METADATA and ref.size <= _SMALL:
            self._bodies[ref.id] = path.read_bytes()

        def work() -> None:
            try:
                self._backend.put(ref.key, path)
            except BaseException:
                self.disown([ref])
                path.unlink(missing_ok=True)
                raise

        self.calls.begin(work)

    def body_of(self, refs: Iterable[PackRef]) -> bytes:
        """Return the bytes of the last small pack of metadata among these that was sent, or none; once."""
        bodies, self._bodies = self._bodies, {}
        return next((bodies[ref.id] for ref in reversed(list(refs)) if ref.id in bodies), b"")

    def check(self, packs: PackList, *, fresh: Iterable[PackRef] = ()) -> None:
        """Begin to make sure that none was collected, when `packs` is the newest list; `settle` says so.

        A pack that gc found unlisted is condemned, then deleted, then forgotten; so one that is neither condemned in
        this list nor missing can be published by a swap from this list. Nothing can have happened to packs that were
        made since this very list was read, which are those that came while it was shown, and `fresh`.
        """
        made_since = {ref.id for ref in fresh}
        doubtful = [ref for pack_id, ref in self.refs.items() if pack_id not in made_since]
        if doubtful and packs is not self._since:
            self.calls.begin(lambda: self.look(packs, doubtful))

    def look(self, packs: PackList, refs: Collection[PackRef]) -> int:
        """Forget those of these packs that were collected by the time of this list; return how many objects they held.

        Whoever goes on all the same is stopped by `settle` before it publishes.
        """
        condemned = set(packs.condemned)
        missing = set(self._backend.missing([ref.key for ref in refs]))
        lost = [ref for ref in refs if ref.id in condemned or ref.key in missing]
        count = sum(ref.objects for ref in lost)
        if lost:
            with self._lock:
                self._lost += count
            self.disown(lost)
        return count

    def settle(self) -> None:
        """Wait until all that was sent is there and all checks are done.

        Raises:
            CollectedError: when packs were collected; what they held can be put again. What a backend raises.
        """
        self.calls.settle()
        lost = self._lost
        if lost:
            self.complained()
            raise CollectedError(lost)

    def complained(self) -> None:
        """Take note that whoever publishes was told of all that was collected."""
        self.calls.drain()
        with self._lock:
            self._lost = 0
