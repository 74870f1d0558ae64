"""What an account sees of a repository, and the little that it may do there."""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from dsvc.errors import DsvcError
from dsvc.hub.quarantine import Quarantine
from dsvc.hub.rules import Limits
from dsvc.hub.visitor import HubRefusedError, Visitor
from dsvc.objects.packlist import pack_list_key
from dsvc.objects.segment import Segments
from dsvc.refs.log import CELL as HEAD
from dsvc.refs.log import list_of, read_head
from dsvc.remotes.wire.forks import HubFork, Relative
from dsvc.remotes.wire.publish import Offer, Published
from dsvc.repo.format import CELL as FORMAT
from dsvc.repo.gcrecord import CELL as GC
from dsvc.repo.gcrecord import encode_cuts
from dsvc.repo.lineage import CELL as LINEAGE
from dsvc.requests.terms import CELL as TERMS
from dsvc.requests.terms import Terms, encode_terms
from dsvc.storage.backend import Backend, BlobMissingError
from dsvc.storage.local import LocalBackend

MOST_PACKS = 20_000  # that wait in quarantine
_FRESH = 1.0  # seconds that what a head names is taken for true
LESS = "push some commits or branches at a time, or ask who runs the hub for more"
_PACK = re.compile(r"packs/[0-9a-f]{64}", re.ASCII)


class Counter(Protocol):
    """What an account may ask a hub to do."""

    def publish(self, offer: Offer) -> Published:
        """See `Publisher.publish`."""

    def fork(self, target: str) -> HubFork:
        """See `Forker.fork`."""

    def forks(self) -> Sequence[Relative]:
        """See `Forker.forks`."""

    def unfork(self) -> int:
        """See `Unforker.unfork`."""

    def end(self) -> None:
        """Let go of what was held for this connection."""

    def tells_parent(self) -> bool:
        """Say whether the account may know what this repository was forked from."""


class GuardedBackend:
    """A backend for one account. Blobs are those that the repository's head lists, and the account's own new packs.

    It has no swaps and no deletions: refs are moved by `publish`. `refused` hears of what was not allowed.
    """

    def __init__(
        self,
        inner: Backend,
        quarantine: Quarantine,
        visitor: Visitor,
        *,
        limits: Limits,
        counter: Counter,
        path_of: Callable[[str], Path],
        terms: Callable[[], Terms],
        refused: Callable[[DsvcError], None],
    ) -> None:
        """`inner` shows the repository, `path_of` gives the file of a blob, and `counter` does what it may ask for."""
        self._inner, self._quarantine = inner, quarantine
        self._visitor, self._limits = visitor, limits
        self._counter, self._path_of, self._terms, self._refused = counter, path_of, terms, refused
        self._segments = Segments(inner)
        self._packs: set[str] = set()  # keys of packs that the head names
        self._shown: set[str] = set()  # keys of packs that some head of this visit named
        self._tables: set[str] = set()  # keys of lists and indexes that some head of this visit named
        self._seen: bytes | None = None  # the head's value that was looked at last
        self._looked = 0.0  # when that was
        self._count, self._held = quarantine.usage()
        self._wanted: set[str] = set()  # packs of an earlier push that this one goes on with
        self._began = time.time()
        self._lock = threading.Lock()

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """See `Backend.get`."""
        if self._is_listed(key):
            return self._inner.get(key, offset=offset, length=length)
        if _PACK.fullmatch(key) and self._visitor.may_upload:
            return self._quarantine.get(key, offset=offset, length=length)
        raise BlobMissingError(key, self._visitor.repository)

    def missing(self, keys: list[str]) -> list[str]:
        """See `Backend.missing`."""
        listed = [key for key in keys if self._is_listed(key)]
        absent = set(keys).difference(listed).union(self._inner.missing(listed))
        waiting = {key for key in absent if _PACK.fullmatch(key) and self._quarantine.has(key)}
        self._wanted |= waiting
        return [key for key in keys if key in absent and key not in waiting]

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """See `Backend.list`: what can be read."""
        self._look()
        with self._lock:
            keys = [key for key in self._packs | self._tables if key.startswith(prefix)]
        found: dict[str, int] = {}
        for key in keys:
            with contextlib.suppress(FileNotFoundError):
                found[key] = os.stat(self._path_of(key)).st_size
        if self._visitor.may_upload:
            found.update((key, size) for key, size in self._quarantine.list("packs/") if key.startswith(prefix))
        return iter(sorted(found.items()))

    def read_cell(self, name: str) -> bytes | None:
        """See `Backend.read_cell`: head, format, terms, cuts of the log, the parent for who may know; else none."""
        if name == TERMS:
            return encode_terms(self._terms())
        if name == GC:
            return encode_cuts(self._inner)
        if name == HEAD:
            self._look()
        if name == LINEAGE and not self._counter.tells_parent():
            return None
        return self._inner.read_cell(name) if name in (HEAD, FORMAT, LINEAGE) else None

    def admit(self, key: str, size: int) -> None:
        """See `PublishingPlace.admit`."""
        if not self._visitor.may_upload:
            raise self._refusal(f"{self._visitor.account} may read {self._visitor.repository} and not push to it")
        if not _PACK.fullmatch(key):
            raise self._refusal(f"{key} is no pack, and accounts of a hub store nothing else")
        most = self._limits.push_bytes
        with self._lock:
            fits = self._fits(size)
            if not fits:  # what an earlier push left behind is of less use than this one
                self._quarantine.clean(before=self._began, keep=self._wanted)
                self._count, self._held = self._quarantine.usage()
                fits = self._fits(size)
            if fits:
                self._count += 1
                self._held += size
        if not fits:
            bound = f"{most:,} bytes" if most and self._held + size > most else f"{MOST_PACKS:,} packs"
            raise self._refusal(f"this push has more than the {bound} that this hub takes at once", hint=LESS)

    def put(self, key: str, source: bytes | Path) -> None:
        """See `Backend.put`; the caller has asked `admit`. The pack waits in quarantine."""
        self._quarantine.put(key, source)

    def delete(self, key: str) -> None:
        """Refuse."""
        raise self._refusal(f"{self._visitor.account} wants to delete {key}, which no account of a hub may")

    def swap_cell(self, name: str, expected: bytes | None, value: bytes) -> bool:
        """Refuse."""
        del expected, value
        raise self._refusal(f"{self._visitor.account} wants to write the cell {name}, which no account of a hub may")

    def publish(self, offer: Offer) -> Published:
        """See `Publisher.publish`."""
        if not self._visitor.may_upload:
            raise self._refusal(f"{self._visitor.account} may read {self._visitor.repository} and not push to it")
        try:
            return self._counter.publish(offer)
        except DsvcError as error:
            self._refused(error)
            raise
        finally:
            with self._lock:
                self._count, self._held = self._quarantine.usage()

    def fork(self, target: str) -> HubFork:
        """See `Forker.fork`."""
        try:
            return self._counter.fork(target)
        except DsvcError as error:
            self._refused(error)
            raise

    def forks(self) -> Sequence[Relative]:
        """See `Forker.forks`."""
        return self._counter.forks()

    def unfork(self) -> int:
        """See `Unforker.unfork`."""
        try:
            return self._counter.unfork()
        except DsvcError as error:
            self._refused(error)
            raise

    def shown_packs(self) -> frozenset[str]:
        """Return the keys of all packs that a head of this visit named."""
        with self._lock:
            return frozenset(self._shown)

    def close(self) -> None:
        """See `Backend.close`."""
        self._counter.end()
        self._quarantine.close()
        self._inner.close()

    def _fits(self, size: int) -> bool:
        most = self._limits.push_bytes
        return self._count < MOST_PACKS and (not most or self._held + size <= most)

    def _is_listed(self, key: str) -> bool:
        """Say whether the head names a blob. What goes off the list is served for a second more at most."""
        listed = self._packs if key.startswith("packs/") else self._tables
        if key not in listed or (listed is self._packs and time.monotonic() - self._looked > _FRESH):
            self._look()
        return key in self._packs or key in self._tables

    def _look(self) -> None:
        """Learn what the newest head names, if that is another one than the last time."""
        with self._lock:
            self._looked = time.monotonic()
            if self._inner.read_cell(HEAD) == self._seen:
                return
            head = read_head(self._inner, self._segments)
            if head is None:
                return
            packs = head.packs
            self._packs = {ref.key for ref in packs.packs}
            self._shown |= self._packs
            lists = [list_of(head)] + ([packs.previous] if packs.previous is not None else [])
            self._tables.update(map(pack_list_key, lists))
            self._tables.update(segment.ref.key for segment in packs.segments)
            self._tables.update(ref.key for ref in packs.retired)
            self._seen = head.value

    def _refusal(self, message: str, *, hint: str = "ask an owner of the hub for what you need") -> HubRefusedError:
        error = HubRefusedError(message, hint=hint)
        self._refused(error)
        return error


class OverlayBackend(LocalBackend):
    """A pool's folder with the packs of one quarantine beside it, for the hub's own look at a push."""

    def __init__(self, root: Path, quarantine: Quarantine) -> None:
        super().__init__(root)
        self._quarantine = quarantine
        self._released: frozenset[str] = frozenset()

    def release(self, keys: Collection[str]) -> None:
        """Let packs be in the pool too; from now on that alone is asked for them, since gc may take them there."""
        self._quarantine.release(keys, self)
        self._released |= frozenset(keys)

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """See `Backend.get`."""
        if _PACK.fullmatch(key) and key not in self._released and super().missing([key]):
            return self._quarantine.get(key, offset=offset, length=length)
        return super().get(key, offset=offset, length=length)

    def missing(self, keys: list[str]) -> list[str]:
        """See `Backend.missing`."""
        absent = super().missing(keys)
        still = set(self._quarantine.missing([key for key in absent if key not in self._released]))
        return [key for key in absent if key in still or key in self._released]
