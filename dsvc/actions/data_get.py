"""Fetch the content of files that a partial clone left out, and check them out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from dsvc.actions.bring import bring, entries_below
from dsvc.actions.sparse import check_out_where
from dsvc.actions.stream_get import SnapshotsGot, get_snapshots
from dsvc.objects.files import is_complete
from dsvc.remotes.transfer.receiving import Received
from dsvc.workspace import Workspace
from dsvc.worktree.index import Index
from dsvc.worktree.sparse import Sparse

_NO_SNAPSHOTS = SnapshotsGot()


@dataclass(frozen=True, slots=True)
class DataGetResult:
    """How many files were asked for and fetched (`size`: bytes of content), and how many came onto the disk."""

    asked: int
    fetched: int
    size: int
    received: Received
    written: int
    snapshots: SnapshotsGot = _NO_SNAPSHOTS


def data_get(workspace: Workspace, paths: Sequence[bytes] = (), *, jobs: int = 8) -> DataGetResult:
    """Fetch what is not here of the files at or below `paths` in HEAD's commit, or of all, and check these files out.

    Files that hold changes are left as they are. Safe to call again, also after it was broken off.

    Raises:
        RemoteError: when the remote cannot be reached. RequestError: for a path that is not in the commit.
    """
    snapshots = get_snapshots(workspace, paths)
    store = workspace.repo.store
    wanted = entries_below(workspace, paths)
    lacking = {entry.id: entry.size for entry in wanted.values() if not is_complete(store, entry.id)}
    received = bring(workspace, list(lacking), jobs=jobs).received if lacking else Received()
    written = check_out_where(workspace, _Chosen(workspace.index(), wanted.keys()))
    return DataGetResult(len(wanted), len(lacking), sum(lacking.values()), received, written.written, snapshots)


class _Chosen:
    """Takes in what is on disk, and the chosen paths that the patterns of a partial working copy do not exclude."""

    def __init__(self, index: Index, chosen: Collection[bytes]) -> None:
        self._index = index
        self._chosen = chosen
        self._sparse = Sparse(index.sparse) if index.sparse else None

    def includes(self, path: bytes) -> bool:
        if not self._index.is_absent(path):
            return True
        return path in self._chosen and (self._sparse is None or self._sparse.includes(path))
