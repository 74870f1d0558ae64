"""Find what changed at the sources of references and copies, and take it up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

from dsvc.actions.begun import Begun
from dsvc.actions.checkout import checkout
from dsvc.actions.data_get import entries_at
from dsvc.actions.import_url import Target, note_origins, reference_of_found
from dsvc.actions.sources import open_sources, store_all
from dsvc.errors import RequestError
from dsvc.history.treediff import diff_trees
from dsvc.objects import trees
from dsvc.objects.ids import ObjectId, TreeId
from dsvc.objects.reference import reference_of
from dsvc.objects.tree import FILE_KINDS, Entry, EntryKind
from dsvc.refs.view import Direct
from dsvc.repo.ledgers import ORIGINS, PREFIXES, ledger_items
from dsvc.sources.address import parse_source
from dsvc.sources.opening import Sources
from dsvc.sources.source import Found, SourceMissingError
from dsvc.workspace import Workspace
from dsvc.worktree.arriving import ARRIVING, Arriving

_TOGETHER = 1000  # objects that are asked for at once


@dataclass(slots=True)
class DataUpdateResult:
    """What is another one at its source than here, gone there, or new there, by paths; `checked` were compared.

    `applied` says whether the working copy was brought up to that; what is gone at its source stays here unless that
    was asked for.
    """

    checked: int = 0
    changed: list[bytes] = field(default_factory=list)
    vanished: list[bytes] = field(default_factory=list)
    new: list[bytes] = field(default_factory=list)
    applied: bool = False


@dataclass(slots=True)
class _Differences:
    """By path what to put there: what was found, and whether a reference stands for it."""

    fresh: dict[bytes, tuple[Found, bool]] = field(default_factory=dict)


def data_update(
    workspace: Workspace,
    paths: Sequence[bytes] = (),
    *,
    dry_run: bool = False,
    delete: bool = False,
    jobs: int = 8,
) -> DataUpdateResult:
    """Compare the references and copies at or below `paths` (all for none) with their sources, and take up changes.

    A reference becomes one to the version that is there now; a copy is imported anew; what is new in a folder that was
    imported as a whole comes in as the rest of it did. What vanished stays, unless `delete`. The next commit takes all
    that. With `dry_run` nothing is changed. What came before a source broke off is kept.

    Raises:
        RequestError: when nothing there was imported. SourceError: when a source cannot be asked.
        InTheWayError: when files that would be replaced hold changes; nothing was changed then.
    """
    with Arriving(workspace.local / ARRIVING) as arriving:
        return _update(workspace, paths, arriving, dry_run=dry_run, delete=delete, jobs=jobs)


def _update(
    workspace: Workspace, paths: Sequence[bytes], arriving: Arriving, *, dry_run: bool, delete: bool, jobs: int
) -> DataUpdateResult:
    store, base = workspace.repo.store, workspace.index().tree
    result, found = DataUpdateResult(), _Differences()
    begun = Begun(workspace)
    workspace.progress.start("Asking sources")
    try:
        with open_sources(workspace) as sources:
            covered = []
            for folder, address in _prefixes(workspace, base, paths):
                covered.append(folder)
                _compare_folder(workspace, sources, base, folder, address, result=result, found=found)
            _compare_each(workspace, sources, base, paths, covered, jobs=jobs, result=result, found=found)
            if not result.checked and not result.new:
                raise RequestError("nothing there was imported", hint="dsvc import-url URL PATH")
            for paths_found in (result.changed, result.vanished, result.new):
                paths_found.sort()
            gone = result.vanished if delete else []
            if dry_run or not (found.fresh or gone):
                return result
            changes: dict[bytes, Entry | None] = dict.fromkeys(gone)
            changes |= {p: reference_of_found(f) for p, (f, refers) in found.fresh.items() if refers}
            copies = {path: f for path, (f, refers) in found.fresh.items() if not refers}
            fresh = list(copies.values())
            stored = store_all(
                store, sources, fresh, begun=begun, jobs=jobs, progress=workspace.progress, arriving=arriving
            )
            changes |= {path: one.entry for path, one in zip(copies, stored, strict=True)}
        tree = TreeId(ObjectId(trees.edit_tree(store, base, changes).id))
        transaction = workspace.transaction()
        begun.forget(transaction)
        origins: dict[bytes, Entry | None] = {path: reference_of_found(f) for path, f in copies.items()}
        note_origins(store, transaction, origins)
        description = f"data: update {len(changes)} of {result.checked}"
        arriving.part()
        checkout(
            workspace, base, tree, transaction=transaction, verb="data", description=description, drafts=arriving
        )
    except BaseException as error:
        begun.keep(error)
        raise
    finally:
        workspace.progress.finish()
    result.applied = True
    return result


def _prefixes(workspace: Workspace, tree: TreeId, paths: Sequence[bytes]) -> Iterator[tuple[bytes, str]]:
    """Yield (path, address) of the folders at or below `paths` that were imported as a whole and are still there."""
    store = workspace.repo.store
    for key, entry in ledger_items(workspace.view(), store, PREFIXES):
        path = bytes.fromhex(key)
        standing = trees.lookup(store, tree, path)
        if standing is not None and standing.kind == EntryKind.TREE and _is_below(path, paths):
            yield path, reference_of(entry).address


def _is_below(path: bytes, paths: Sequence[bytes]) -> bool:
    return not paths or any(not p or path == p or path.startswith(p + b"/") for p in paths)


def _compare_folder(
    workspace: Workspace,
    sources: Sources,
    base: TreeId,
    folder: bytes,
    address: str,
    *,
    result: DataUpdateResult,
    found: _Differences,
) -> None:
    """Compare a folder with the listing of its source, as two trees: neither is held in memory."""
    store = workspace.repo.store
    parsed = parse_source(address)
    target = Target(store, parsed, prefix=True)
    target.fill((one, reference_of_found(one)) for one in sources.of(parsed).list(parsed))
    result.checked += target.files
    standing = trees.lookup(store, base, folder)
    assert standing is not None
    origins = _origins(workspace, folder)
    here, refers = standing.id, True
    if origins is not None:  # copies are known by what they were copied from
        here, refers = _as_references(workspace, standing.id, origins)
    for change in diff_trees(store, TreeId(ObjectId(here)), TreeId(ObjectId(target.entry.id))):
        path = folder + b"/" + change.path
        if change.new is None:
            if change.old is not None and change.old.kind == EntryKind.REFERENCE:
                result.vanished.append(path)
            continue
        if change.new.kind != EntryKind.REFERENCE:
            continue
        if change.old is not None and change.old.kind != EntryKind.REFERENCE:
            continue  # somebody put an own file there
        (result.new if change.old is None else result.changed).append(path)
        stands = trees.lookup(store, standing.id, change.path) if change.old is not None else None
        is_reference = stands.kind == EntryKind.REFERENCE if stands is not None else refers
        found.fresh[path] = reference_of(change.new), is_reference


def _origins(workspace: Workspace, path: bytes) -> bytes | None:
    ref = workspace.view().get(ORIGINS)
    entry = trees.lookup(workspace.repo.store, ref.id, path) if isinstance(ref, Direct) else None
    return entry.id if entry is not None and entry.kind == EntryKind.TREE else None


def _as_references(workspace: Workspace, tree: bytes, origins: bytes) -> tuple[bytes, bool]:
    """Return a tree of copies with the references in their place from which they came.

    And whether it holds references too: then it was imported by reference, and some were pinned.
    """
    store, made = workspace.repo.store, tree
    refers = False
    stream = trees.walk(store, tree)
    while batch := list(islice(stream, _TOGETHER)):
        changes: dict[bytes, Entry | None] = {}
        for path, entry in batch:
            refers = refers or entry.kind == EntryKind.REFERENCE
            origin = trees.lookup(store, origins, path) if entry.kind in FILE_KINDS else None
            if origin is not None and origin.kind == EntryKind.REFERENCE:
                changes[path] = origin
        if changes:
            made = trees.edit_tree(store, made, changes).id
    return made, refers


def _compare_each(
    workspace: Workspace,
    sources: Sources,
    base: TreeId,
    paths: Sequence[bytes],
    covered: Sequence[bytes],
    *,
    jobs: int,
    result: DataUpdateResult,
    found: _Differences,
) -> None:
    """Ask for each reference and copy that does not lie in a folder which was compared."""
    store = workspace.repo.store
    ref = workspace.view().get(ORIGINS)
    origins = ref.id if isinstance(ref, Direct) else None

    def known() -> Iterator[tuple[bytes, Entry, bool]]:
        for path, entry in entries_at(workspace, base, paths):
            if covered and _is_below(path, covered):
                continue
            if entry.kind == EntryKind.REFERENCE:
                yield path, entry, True
            elif origins is not None and entry.kind in FILE_KINDS:
                origin = trees.lookup(store, origins, path)
                if origin is not None and origin.kind == EntryKind.REFERENCE:
                    yield path, origin, False

    def ask(entry: Entry) -> Found | None:
        try:
            return sources.stat(reference_of(entry).address)
        except SourceMissingError:
            return None

    stream = known()
    with ThreadPoolExecutor(jobs, thread_name_prefix="dsvc-update") as pool:
        while batch := list(islice(stream, _TOGETHER)):
            for (path, entry, refers), now in zip(batch, pool.map(ask, [e for _, e, _ in batch]), strict=True):
                result.checked += 1
                before = reference_of(entry)
                if now is None:
                    result.vanished.append(path)
                elif not _is_same(before, now):
                    result.changed.append(path)
                    found.fresh[path] = now, refers


def _is_same(before: Found, now: Found) -> bool:
    """Say whether two are the same version; a listing does not tell version ids, a question for one object does."""
    versions = {before.version, now.version} - {""}
    return before.size == now.size and before.etag == now.etag and len(versions) < 2


