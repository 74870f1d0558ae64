"""Which commits brought files with some content, and at the tips of which branches these stand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from dsvc.actions.lineage_graph import FileNode
from dsvc.actions.log import ALL_REFS, LogQuery, log
from dsvc.errors import IntegrityError
from dsvc.history.treediff import diff_trees
from dsvc.objects import trees
from dsvc.objects.ids import CommitId, Kind, TreeId
from dsvc.refs.names import HEADS, REMOTES, TAGS, short_name
from dsvc.refs.view import Symbolic
from dsvc.workspace import Workspace

_TIPS = 200  # branches and tags that are looked into


def find_commits(workspace: Workspace, files: Sequence[FileNode]) -> Iterator[tuple[FileNode, CommitId]]:
    """Yield each file with the oldest commit in which it stands and no parent had it.

    All branches, tags and remotes count. One walk through history is made, of the commits that changed these paths.
    """
    wanted: dict[tuple[bytes, bytes], FileNode] = {(f.path, f.id): f for f in files if f.id is not None}
    if not wanted:
        return
    found: dict[tuple[bytes, bytes], CommitId] = {}
    paths = tuple(sorted({path for path, _ in wanted}))
    query = LogQuery(paths=tuple(path for path in paths if path), prefixes=ALL_REFS, head_too=True)
    for entry in log(workspace, query):
        try:
            for pair in _brought(workspace, entry.commit_id, paths, wanted.keys()):
                found[pair] = entry.commit_id  # the walk goes back, so the oldest one stays
        except IntegrityError:  # a parent's tree is not here
            continue
    for pair, commit_id in found.items():
        yield wanted[pair], commit_id


def _brought(
    workspace: Workspace, commit_id: CommitId, paths: Sequence[bytes], wanted: Iterable[tuple[bytes, bytes]]
) -> Iterator[tuple[bytes, bytes]]:
    store, repo = workspace.repo.store, workspace.repo
    commit = repo.commit(commit_id)
    parents = [workspace.tree_of(parent) for parent in repo.parents(commit)]
    pairs = set(wanted)
    folders = {path for path, _ in pairs}
    candidates: set[tuple[bytes, bytes]] = set()
    for change in diff_trees(store, parents[0] if parents else None, commit.tree, paths=paths):
        if change.new is not None and (change.path, change.new.id) in pairs:
            candidates.add((change.path, change.new.id))
        above = change.path
        while b"/" in above:  # a folder as a whole
            above = above.rpartition(b"/")[0]
            if above in folders:
                entry = trees.lookup(store, commit.tree, above)
                if entry is not None and (above, entry.id) in pairs:
                    candidates.add((above, entry.id))
    for path, wanted_id in candidates:
        if not any(_stands(workspace, tree, path, wanted_id) for tree in parents):
            yield path, wanted_id


def _stands(workspace: Workspace, tree: TreeId, path: bytes, wanted_id: bytes) -> bool:
    entry = trees.lookup(workspace.repo.store, tree, path)
    return entry is not None and entry.id == wanted_id


def find_tips(workspace: Workspace, files: Sequence[FileNode]) -> Iterator[tuple[FileNode, tuple[str, ...]]]:
    """Yield files with the branches and tags whose commit has them at their path; a remote's only beside others."""
    tips: dict[TreeId, list[str]] = {}
    view = workspace.view()
    for prefix in (HEADS, TAGS, REMOTES):
        for name, ref in view.items(prefix):
            if isinstance(ref, Symbolic):  # a remote's HEAD: the branch that it names is among them
                continue
            target = view.resolve(name)[1]
            if target is None or len(tips) >= _TIPS:
                continue
            kind, object_id = workspace.repo.peel(target.kind, target.id)
            if kind == Kind.COMMIT:
                names = tips.setdefault(workspace.tree_of(CommitId(object_id)), [])
                if prefix != REMOTES or not names:
                    names.append(short_name(name))
    for file in files:
        if file.id is not None:
            here = [names for tree, names in tips.items() if _stands(workspace, tree, file.path, file.id)]
            if here:
                yield file, tuple(name for names in here for name in names)
