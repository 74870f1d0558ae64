"""Which references' content is kept here, by the ledger of what was fetched."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from dsvc.errors import RequestError
from dsvc.objects import trees
from dsvc.objects.ids import OperationId
from dsvc.objects.reference import reference_id, reference_of
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import CONTENT_KINDS, Entry, EntryKind
from dsvc.refs.view import Direct
from dsvc.repo.ledgers import FETCHED, LEARNED, ledger_entry
from dsvc.repo.repository import Repository

_TOGETHER = 500  # leaves whose content is fetched at once


class NotFetchedError(RequestError):
    """The content of a reference is needed and was not fetched."""


class Fetched:
    """Answers for references of one repository; `bring` raises until it is set."""

    def __init__(self, repo: Repository) -> None:
        self._repo = repo
        self._seen: OperationId | None = None
        self._ledger: Direct | None = None
        self.fetch: Callable[[Sequence[Entry]], None] | None = None

    def any_here(self) -> bool:
        """See `Elsewhere.any_here`."""
        return self._newest() is not None

    def here(self, entry: Entry) -> Entry | None:
        """See `Elsewhere.here`."""
        ledger = self._newest()
        if ledger is None:
            return None
        found = trees.lookup(self._repo.store, ledger.id, reference_id(entry.id).hex().encode())
        return found if found is not None and self._repo.store.has_file(found.id) else None

    def bring(self, entries: Sequence[Entry]) -> None:
        """See `Elsewhere.bring`."""
        lacking = [entry for entry in dict.fromkeys(entries) if self.here(entry) is None]
        if lacking and self.fetch is None:
            raise NotFetchedError(
                f"{reference_of(lacking[0]).address} was not fetched", hint="dsvc data get PATH fetches it"
            )
        if lacking and self.fetch is not None:
            self.fetch(lacking)

    def _newest(self) -> Direct | None:
        if self._seen != self._repo.head.operation:
            ref = self._repo.view().get(FETCHED)
            self._ledger = ref if isinstance(ref, Direct) else None
            self._seen = self._repo.head.operation
        return self._ledger


def each_with_content(
    store: ObjectStore, leaves: Iterable[tuple[bytes, Entry]]
) -> Iterator[tuple[bytes, Entry]]:
    """Yield (path, entry) with the content of references in their place, some hundred of which are fetched together.

    In a partial clone what is not here of the other files is fetched in the same way.

    Raises:
        What `Elsewhere.bring` and `ObjectStore.complete` raise.
    """
    elsewhere, stream = store.elsewhere, iter(leaves)
    while batch := list(islice(stream, _TOGETHER)):
        store.complete(entry.id for _, entry in batch if entry.kind in CONTENT_KINDS)
        references = [entry for _, entry in batch if entry.kind == EntryKind.REFERENCE]
        if not references or elsewhere is None:
            yield from batch
            continue
        elsewhere.bring(references)
        for path, entry in batch:
            yield path, (elsewhere.here(entry) or entry) if entry.kind == EntryKind.REFERENCE else entry


def with_content(repo: Repository, entry: Entry) -> Entry:
    """Return an entry that has content: of a reference that of what it names, which is fetched where it is not here.

    Raises:
        What `Elsewhere.bring` raises.
    """
    elsewhere = repo.store.elsewhere
    if entry.kind != EntryKind.REFERENCE or elsewhere is None:
        return entry
    elsewhere.bring([entry])
    return elsewhere.here(entry) or entry


def content_of(repo: Repository, entry: Entry) -> Entry:
    """Return an entry with the id of its content: of a reference what it was found to be, else its own."""
    if entry.kind != EntryKind.REFERENCE:
        return entry
    own = reference_id(entry.id)
    found = ledger_entry(repo.view(), repo.store, LEARNED, own.hex())
    return entry._replace(id=own) if found is None else Entry(EntryKind.FILE, found.id, found.size)
