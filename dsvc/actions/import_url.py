"""Import an object, or all below a prefix, from a bucket or a web server: as copies, or by reference."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from dsvc.actions.begun import Begun, never
from dsvc.actions.checkout import checkout
from dsvc.actions.sources import open_sources, store_all
from dsvc.errors import RequestError, UsageError
from dsvc.objects import trees
from dsvc.objects.codec import BadEncodingError
from dsvc.objects.ids import Kind, ObjectId, TreeId
from dsvc.objects.reference import Reference, reference_entry
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import Entry, EntryKind, is_valid_name
from dsvc.refs.transaction import Transaction
from dsvc.refs.view import Direct
from dsvc.repo.format import REFERENCES
from dsvc.repo.ledgers import ORIGINS, PREFIXES, write_ledger
from dsvc.sources.address import SourceAddress, is_signed, parse_source
from dsvc.sources.opening import Sources
from dsvc.sources.source import UNKNOWN_SIZE, Found, SourceError, SourceMissingError
from dsvc.workspace import Workspace
from dsvc.worktree.arriving import ARRIVING, Arriving

_BATCH = 20_000  # names that are put into the tree together


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What was imported from where to `path`: how many files of how many bytes, and whether by reference.

    `markers` are empty objects that stand for a folder and were passed over.
    """

    path: bytes
    address: str
    files: int
    size: int
    reference: bool
    markers: int = 0


def import_url(
    workspace: Workspace,
    url: str,
    path: bytes,
    *,
    reference: bool = False,
    prefix: bool = False,
    jobs: int = 8,
    stopped: Callable[[], bool] = never,
) -> ImportResult:
    """Import what lies at an address to a new `path`; with `prefix` all that lies in that folder of a bucket.

    A copy is stored and checked out. A `reference` keeps the address, and what tells the version that is there now
    from others; its content is fetched when somebody asks for it. Either is as after `add`: the next commit takes it.
    Nothing has changed when this raises, but that content which came before a source broke off, or before `stopped`
    said to end, is kept, and the same import goes on with that.

    Raises:
        UsageError: for an address that is none. RequestError: when `path` is taken or may not be used.
        SourceError: when the source refuses, breaks off, or has nothing there.
    """
    address = parse_source(url)
    if reference and is_signed(address):
        raise UsageError(
            "an address that holds a signature or a token may not stand in history: it would let everybody in",
            hint="leave --reference out to import a copy",
        )
    if prefix and not address.is_bucket:
        raise UsageError(f"{url}: a web server does not list what it has", hint="import its files one by one")
    _check_place(workspace, path)
    store = workspace.repo.store
    workspace.progress.start("Importing")
    target = Target(store, address, prefix=prefix)
    begun = Begun(workspace, stopped=stopped)
    with Arriving(workspace.local / ARRIVING) as arriving:
        try:
            with open_sources(workspace) as sources:
                found = _listed(sources, address, prefix=prefix)
                if reference:
                    target.fill((one, reference_of_found(one)) for one in _checked(found, begun))
                else:
                    stored = store_all(
                        store,
                        sources,
                        found,
                        begun=begun,
                        jobs=jobs,
                        progress=workspace.progress,
                        arriving=arriving,
                    )
                    target.fill((s.found, s.entry) for s in stored)
            if not target.files:
                raise SourceMissingError(f"there is nothing below {address}", hint="check the address")
            _publish(workspace, target, path, begun, arriving, reference=reference)
        except BaseException as error:
            begun.keep(error)
            raise
        finally:
            workspace.progress.finish()
    return ImportResult(path, str(address), target.files, target.size, reference, target.markers)


def _checked(found: Iterable[Found], begun: Begun) -> Iterator[Found]:
    for one in found:
        begun.check()
        yield one


def _publish(
    workspace: Workspace, target: Target, path: bytes, begun: Begun, arriving: Arriving, *, reference: bool
) -> None:
    store, base = workspace.repo.store, workspace.index().tree
    made = TreeId(ObjectId(trees.edit_tree(store, base, {path: target.entry}).id))
    if reference:
        workspace.repo.need(REFERENCES)
    transaction = workspace.transaction()
    begun.forget(transaction)
    if not reference:
        note_origins(store, transaction, {path: target.origin} if target.origin is not None else {})
    if target.prefix:
        note_prefix(store, transaction, path, target.address)
    place = os.fsdecode(path).encode("utf-8", "replace").decode()
    description = f"import-url: {target.address} to {place}"
    arriving.part()
    checkout(
        workspace, base, made, transaction=transaction, verb="import-url", description=description, drafts=arriving
    )


def note_origins(store: ObjectStore, transaction: Transaction, changes: Mapping[bytes, Entry | None]) -> None:
    """Let a transaction note of paths where their copies came from; a folder's entry is that of a tree of them."""
    if changes:
        ref = transaction.get(ORIGINS)
        root = ref.id if isinstance(ref, Direct) else trees.empty_tree(store)
        transaction.set(ORIGINS, Direct(Kind.TREE, ObjectId(trees.edit_tree(store, root, changes).id)))


def note_prefix(store: ObjectStore, transaction: Transaction, path: bytes, address: SourceAddress) -> None:
    """Let a transaction note of a folder where all in it came from."""
    write_ledger(store, transaction, PREFIXES, {path.hex(): reference_entry(Reference(str(address), 0, "prefix"))})


def reference_of_found(found: Found) -> Entry:
    """Return the entry of a reference to what was found.

    Raises:
        SourceError: when it could not be told from later versions.
    """
    if found.size == UNKNOWN_SIZE or not (found.etag or found.version):
        what = "how long it is" if found.size == UNKNOWN_SIZE else "what tells its versions apart (ETag, Last-Modified)"
        raise SourceError(
            f"{found.address}: the server does not say {what}", hint="leave --reference out to import a copy"
        )
    try:
        return reference_entry(found)
    except BadEncodingError as error:
        raise SourceError(f"{found.address!r} cannot be kept as a reference: it is too long or malformed") from error


def _listed(sources: Sources, address: SourceAddress, *, prefix: bool) -> Iterator[Found]:
    if prefix:
        yield from sources.of(address).list(address)
    else:
        yield sources.of(address).stat(address)


def _check_place(workspace: Workspace, path: bytes) -> None:
    shown = os.fsdecode(path)
    if not path or not all(map(is_valid_name, path.split(b"/"))):
        raise RequestError(f"{shown!r} is no path at which a file may stand", hint="name a file in the working copy")
    if trees.lookup(workspace.repo.store, workspace.index().tree, path) is not None:
        raise RequestError(
            f"{shown} is there already", hint="dsvc data update takes up what changed at its source; else name another"
        )
    folder = path.rpartition(b"/")[0]
    while folder:
        known = trees.lookup(workspace.repo.store, workspace.index().tree, folder)
        place = workspace.place(folder)
        if (known is not None and known.kind != EntryKind.TREE) or (os.path.lexists(place) and not is_folder(place)):
            raise RequestError(f"{os.fsdecode(folder)} stands in the way: it is no folder", hint="name another path")
        folder = folder.rpartition(b"/")[0]
    if os.path.lexists(workspace.place(path)):
        raise RequestError(f"{shown} stands in the way and is not versioned", hint="move it away, or name another path")


def is_folder(place: bytes) -> bool:
    """Say whether a folder is there, and no link to one."""
    return os.path.isdir(place) and not os.path.islink(place)


class Target:
    """The tree of what is imported, filled some thousands of names at a time: a bucket may have ten million."""

    def __init__(self, store: ObjectStore, address: SourceAddress, *, prefix: bool) -> None:
        self.address, self.prefix = address, prefix
        self.files = self.size = self.markers = 0
        self.entry: Entry = Entry(EntryKind.TREE, trees.empty_tree(store), 0)
        self.origin: Entry | None = None
        self._store = store
        self._folders: set[int] = set()  # hashes of the paths of all folders so far

    def fill(self, entries: Iterable[tuple[Found, Entry]]) -> None:
        """Take in all entries.

        Raises:
            SourceError: for a key that no path can be, or that is an object and a folder at once.
        """
        if not self.prefix:
            for found, entry in entries:
                self.entry = entry
                self.origin = origin_of(found)
                self.files, self.size = 1, entry.size
            return
        stream = iter(entries)
        origins = self.entry
        while batch := list(islice(stream, _BATCH)):
            fresh: dict[bytes, Entry | None] = {}
            from_where: dict[bytes, Entry | None] = {}
            for found, entry in batch:
                path = relative_path(found.address, self.address)
                if not path:
                    self.markers += 1  # the folder itself
                    continue
                fresh[path] = entry
                if entry.kind != EntryKind.REFERENCE:  # which says itself where it lies
                    from_where[path] = origin_of(found)
            self._drop_markers(fresh)
            self.files += len(fresh)
            self.size += sum(entry.size for entry in fresh.values() if entry is not None)
            self.entry = trees.edit_tree(self._store, self.entry.id, fresh)
            if batch[0][1].kind != EntryKind.REFERENCE:
                known = {path: origin for path, origin in from_where.items() if origin is not None and path in fresh}
                origins = trees.edit_tree(self._store, origins.id, known)
                self.origin = origins

    def _drop_markers(self, fresh: dict[bytes, Entry | None]) -> None:
        """Pass over empty objects that stand for folders, and refuse others whose path is a folder too."""
        folders: dict[bytes, None] = {}
        for path in fresh:
            folder = path.rpartition(b"/")[0]
            while folder and folder not in folders:
                folders[folder] = None
                folder = folder.rpartition(b"/")[0]
        for folder in folders:
            entry = fresh.get(folder)
            before = None if entry is not None else trees.lookup(self._store, self.entry.id, folder)
            found = entry if entry is not None else before
            if found is None or found.kind == EntryKind.TREE:
                continue
            if found.size:
                raise self._both(folder)
            self.markers += 1
            fresh.pop(folder, None)
            if before is not None:
                self.files -= 1  # it came with an earlier batch; the folder takes its place
        for path, entry in list(fresh.items()):
            if hash(path) in self._folders and entry is not None:
                standing = trees.lookup(self._store, self.entry.id, path)
                if standing is not None and standing.kind == EntryKind.TREE:
                    if entry.size:
                        raise self._both(path)
                    self.markers += 1
                    del fresh[path]
        self._folders.update(map(hash, folders))

    def _both(self, path: bytes) -> SourceError:
        return SourceError(
            f"{self.address}: {os.fsdecode(path)} is an object and a folder at once, which no disk can hold",
            hint="rename one of them, or import what is beside them",
        )


def relative_path(address: str, prefix: SourceAddress) -> bytes:
    """Return the path below a prefix of what lies at an address in it.

    Raises:
        SourceError: where that is no path which a repository may hold.
    """
    rest = address.removeprefix(f"{prefix.scheme}://{prefix.place}/")
    inside = prefix.key.strip("/")
    if inside:
        rest = rest.removeprefix(inside)
    path = rest.removeprefix("/").encode("utf-8", "surrogateescape")
    if path and not all(map(is_valid_name, path.split(b"/"))):
        raise SourceError(
            f"{address}: its key cannot be a path in a repository", hint="rename it, or import the folders beside it"
        )
    return path


def origin_of(found: Found) -> Entry | None:
    """Return an entry that says where a copy came from, None where later versions could not be told from it."""
    if found.size == UNKNOWN_SIZE or not (found.etag or found.version):
        return None
    try:
        return reference_entry(found)
    except BadEncodingError:
        return None
