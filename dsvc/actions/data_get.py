"""Fetch the content of files that a partial clone left out and of references, and check them out."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from dsvc.actions.bring import OfflineError, bring
from dsvc.actions.sparse import check_out_where
from dsvc.actions.stream_get import SnapshotsGot, get_snapshots
from dsvc.errors import RemoteError, RequestError
from dsvc.objects import trees
from dsvc.objects.files import is_complete
from dsvc.objects.ids import CommitId
from dsvc.objects.tree import CONTENT_KINDS, Entry, EntryKind
from dsvc.remotes.transfer.receiving import Received
from dsvc.sources.source import SourceError
from dsvc.workspace import Workspace
from dsvc.worktree.arriving import ARRIVING, Arriving
from dsvc.worktree.content_filter import RULES
from dsvc.worktree.drafts import Claims
from dsvc.worktree.index import Index, join, parents
from dsvc.worktree.sparse import Sparse

_NO_SNAPSHOTS = SnapshotsGot()
_SHOWN = 10


class LostAtSourceError(RemoteError):
    """Sources do not have the content of references any more, or have another one."""

    def __init__(self, lost: Mapping[bytes, SourceError], asked: int) -> None:
        shown = "".join(f"\n  {os.fsdecode(path)}: {error.message}" for path, error in islice(lost.items(), _SHOWN))
        more = f"\n  and {len(lost) - _SHOWN} more" if len(lost) > _SHOWN else ""
        super().__init__(
            f"{len(lost)} of {asked} files {'is' if len(lost) == 1 else 'are'} not at the source any more as imported:"
            f"{shown}{more}",
            hint="dsvc data update takes up what is there now; what the others have was fetched",
            details={"paths": [os.fsdecode(path) for path in lost]},
        )


@dataclass(frozen=True, slots=True)
class DataGetResult:
    """How many files were asked for and fetched (`size`: bytes of content), and how many came onto the disk.

    `references` of the fetched ones came from their sources. `commit_id` is that of the commit that pins them.
    """

    asked: int
    fetched: int
    size: int
    received: Received
    written: int
    references: int = 0
    commit_id: CommitId | None = None
    snapshots: SnapshotsGot = _NO_SNAPSHOTS


def data_get(
    workspace: Workspace,
    paths: Sequence[bytes] = (),
    *,
    jobs: int = 8,
    pin: bool = False,
    sign: bool | None = None,
    offline: bool = False,
) -> DataGetResult:
    """Fetch what is not here of the files at or below `paths` in HEAD's commit, or of all, and check these files out.

    References are fetched from where they point to; with `pin` a new commit has ordinary files in their place. Files
    that hold changes are left as they are. Safe to call again, also after it was broken off. Where sources have some of
    the references no more, the others come all the same, and nothing is pinned.

    Raises:
        RemoteError: when a remote or a source cannot be reached. RequestError: for a path that is not in the commit.
        LostAtSourceError: when a source has a reference's content no more. OfflineError: when something is not here
            and `offline`.
    """
    snapshots = get_snapshots(workspace, paths) if not offline else _NO_SNAPSHOTS
    store, tree = workspace.repo.store, workspace.head_tree() if pin else workspace.index().tree
    wanted = dict(entries_at(workspace, tree, paths))
    references = [entry for entry in wanted.values() if entry.kind == EntryKind.REFERENCE]
    far = [entry for entry in references if _not_here(workspace, entry)]
    lacking = {
        entry.id: entry.size
        for entry in wanted.values()
        if entry.kind != EntryKind.REFERENCE and not is_complete(store, entry.id)
    }
    if offline and (lacking or far):
        count = len(lacking) + len(far)
        raise OfflineError(
            f"the content of {'one file' if count == 1 else f'{count} files'} is not here, and this command is to stay"
            " offline",
            hint="leave --offline out",
        )
    size = sum(lacking.values())
    rules = _rules_above(workspace, tree, paths) if paths else []
    received = bring(workspace, [*lacking, *rules], jobs=jobs).received if lacking else Received()
    commit_id = None
    lost: dict[bytes, SourceError] = {}
    with Arriving(workspace.local / ARRIVING) as arriving:
        if far:
            from dsvc.actions.sources import fetch_references

            size += fetch_references(workspace, far, jobs=jobs, arriving=arriving, lost=lost)
        if pin and references and not lost:
            from dsvc.actions.data_pin import pin_references

            commit_id = pin_references(workspace, wanted, sign=sign)
        arriving.part()
        without = {path for path, entry in wanted.items() if entry.id in lost}
        written = check_out(workspace, paths, without=without, drafts=arriving)
    if lost:
        raise LostAtSourceError({p: lost[e.id] for p, e in sorted(wanted.items()) if e.id in lost}, len(wanted))
    count = len(lacking) + len(far)
    return DataGetResult(len(wanted), count, size, received, written, len(far), commit_id, snapshots)


def check_out(
    workspace: Workspace, paths: Sequence[bytes], *, without: Collection[bytes] = (), drafts: Claims | None = None
) -> int:
    """Write the absent files at or below `paths` (none: all) of which the content is here, but not `without`.

    `drafts` have large files of them that were written already. Returns how many came.
    """
    return check_out_where(workspace, _Chosen(workspace.index(), paths, without=without), drafts=drafts).written


def absent_at(workspace: Workspace, paths: Sequence[bytes]) -> dict[bytes, Entry]:
    """Return what a partial clone left out at or below those of the paths that the working copy stands for."""
    index, store = workspace.index(), workspace.repo.store
    known = [path for path in paths if trees.lookup(store, index.tree, path) is not None] if index.may_lack else []
    sparse = Sparse(index.sparse) if index.sparse else None
    return {
        path: entry
        for path, entry in (entries_at(workspace, index.tree, known) if known else ())
        if index.is_absent(path) and (sparse is None or sparse.includes(path))
    }


def bring_absent(workspace: Workspace, absent: Mapping[bytes, Entry]) -> None:
    """Fetch what `absent_at` gave, and check it out.

    Raises:
        RemoteError: when it cannot be had.
    """
    workspace.repo.store.complete(entry.id for entry in absent.values() if entry.kind in CONTENT_KINDS)
    check_out(workspace, list(absent))


def entries_at(workspace: Workspace, tree: bytes, paths: Sequence[bytes]) -> Iterator[tuple[bytes, Entry]]:
    """Yield (path, entry) of the files, links and references of a tree at or below `paths`, or of all for none.

    Raises:
        RequestError: for a path that the tree has not.
    """
    store = workspace.repo.store
    for path in paths or (b"",):
        entry = trees.lookup(store, tree, path) if path else trees.tree_entry(store, tree)
        if entry is None:
            raise RequestError(f"there is no {os.fsdecode(path)} in the commit", hint="dsvc ls")
        below = trees.walk(store, entry.id, path + b"/" if path else b"") if entry.kind == EntryKind.TREE else ()
        for place, inside in below or [(path, entry)]:
            if inside.kind in CONTENT_KINDS or inside.kind == EntryKind.REFERENCE:
                yield place, inside


def _rules_above(workspace: Workspace, tree: bytes, paths: Iterable[bytes]) -> list[bytes]:
    """Return the files with rules above these paths whose content is not here: without it commits take too much."""
    index, store = workspace.index(), workspace.repo.store
    named = (join(folder, name) for folder in parents(paths) for name in sorted(RULES))
    found = (trees.lookup(store, tree, path) for path in named if index.is_absent(path))
    return [e.id for e in found if e is not None and e.kind in CONTENT_KINDS and not is_complete(store, e.id)]


def _not_here(workspace: Workspace, entry: Entry) -> bool:
    elsewhere = workspace.repo.store.elsewhere
    return elsewhere is None or elsewhere.here(entry) is None


class _Chosen:
    """Takes in what is on disk, and what lies at or below the chosen paths (none: everywhere), with empty folders.

    What the patterns of a partial working copy exclude stays out of it.
    """

    def __init__(self, index: Index, paths: Sequence[bytes], *, without: Collection[bytes]) -> None:
        self._index = index
        self._paths = frozenset(paths) or {b""}
        self._without = without
        self._sparse = Sparse(index.sparse) if index.sparse else None

    def includes(self, path: bytes) -> bool:
        if not self._index.is_absent(path):
            return True
        if path in self._without or self._paths.isdisjoint((path, *parents([path]))):
            return False
        return self._sparse is None or self._sparse.includes(path)
