"""Let an import that broke off go on where it stopped: what came of objects is kept, and read again from here.

What is kept of an object is a file like any other, its whole content or the first part of it, under the id of the
very version (address, size, ETag, version id) that it is of. docs/formats/ledger.md.
"""

from __future__ import annotations

from collections.abc import Callable

from blake3 import blake3

from dsvc.objects.codec import BadEncodingError
from dsvc.objects.reference import reference_entry, reference_id
from dsvc.objects.tree import Entry
from dsvc.refs.transaction import Transaction
from dsvc.repo.ledgers import BEGUN, ledger_items, write_ledger
from dsvc.sources.source import UNKNOWN_SIZE, Found, SourceError
from dsvc.workspace import Workspace

_LEAST = 1 << 20  # bytes in all for which going on is worth an operation


class EndedEarlyError(KeyboardInterrupt):
    """Somebody asked for an end, and everything is in order to keep what came until then."""


def never() -> bool:
    """Say that nobody wants an end."""
    return False


class Begun:
    """What is here already of the objects of one import, and what comes of them; `stopped` says to end early."""

    def __init__(self, workspace: Workspace, *, stopped: Callable[[], bool] = never) -> None:
        self.stopped = stopped
        self._workspace = workspace
        view = workspace.view()
        self._view = view if view.get(BEGUN) is not None else None
        self._known: dict[str, Entry | None] = {}  # keys that were found, which nobody needs later
        self._came: dict[str, Entry] = {}
        self._parts: dict[str, Entry] = {}

    def check(self) -> None:
        """Raise EndedEarlyError when it is to end."""
        if self.stopped():
            raise EndedEarlyError

    def of(self, found: Found) -> Entry | None:
        """Return the file that is kept of an object's version, which may be its first part; None where nothing is."""
        if self._view is None or (key := version_key(found)) is None:
            return None
        store, kept = self._workspace.repo.store, None
        for other, entry in ledger_items(self._view, store, BEGUN, key.partition(".")[0] + "."):
            self._known[other] = None
            if other == key and store.has_file(entry.id) and entry.size <= found.size:
                kept = entry
        return kept

    def note(self, found: Found, entry: Entry) -> None:
        """Keep in mind what came of an object: all, or its first part."""
        if entry.size and (key := version_key(found)) is not None:
            (self._came if entry.size == found.size else self._parts)[key] = entry

    def keep(self, error: BaseException, *, parts_only: bool = False) -> None:
        """Publish what came before an import broke off, and let the error say so; `parts_only` where objects are kept.

        After any other error than that of a source, or a wish to end, nothing is.
        """
        came = self._parts if parts_only else {**self._came, **self._parts}
        size = sum(entry.size for entry in came.values())
        if size < _LEAST or not isinstance(error, (SourceError, EndedEarlyError)):
            self._workspace.repo.store.abandon()
            return
        transaction = self._workspace.repo.transaction()
        write_ledger(self._workspace.repo.store, transaction, BEGUN, {**self._known, **came})
        what = f"keep {size:,} bytes of an import that broke off"
        self._workspace.publish(transaction, self._workspace.act("data", what))
        if isinstance(error, SourceError):
            error.hint = f"run the same command again: it goes on after the {size:,} bytes that came"

    def forget(self, transaction: Transaction) -> None:
        """Let a transaction that has all of it keep nothing beside."""
        if self._known:
            write_ledger(self._workspace.repo.store, transaction, BEGUN, self._known)


def version_key(found: Found) -> str | None:
    """Return the key of an object's version: address, dot, version; None where versions look alike."""
    if found.size == UNKNOWN_SIZE or not (found.etag or found.version):
        return None
    try:
        entry = reference_entry(found)
    except BadEncodingError:
        return None
    return f"{blake3(found.address.encode('utf-8', 'replace')).digest()[:16].hex()}.{reference_id(entry.id).hex()}"
