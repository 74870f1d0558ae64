"""Store the content of files ahead of a commit."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from dsvc.actions.checkout import keep_index_tree
from dsvc.errors import RequestError
from dsvc.history.treediff import Change, diff_trees
from dsvc.objects import trees
from dsvc.objects.ids import TreeId
from dsvc.objects.tree import CONTENT_KINDS, EntryKind
from dsvc.workspace import Workspace
from dsvc.worktree.behind_links import refuse_behind_link
from dsvc.worktree.guard import KeysNoted
from dsvc.worktree.ignore import IgnoreRules
from dsvc.worktree.index import ABSENT, UNKNOWN, Index
from dsvc.worktree.record import Recorded, Recorder
from dsvc.worktree.scan import Skipped


class NoSuchPathError(RequestError):
    """A path names nothing, neither on disk nor in the index."""

    def __init__(self, path: bytes) -> None:
        super().__init__(
            f"{os.fsdecode(path)!r} names no file, neither on disk nor in the last commit",
            hint="dsvc status shows what there is",
        )


class IgnoredPathError(RequestError):
    """A path that was named is ignored."""

    def __init__(self, paths: Sequence[bytes]) -> None:
        shown = "".join(f"\n  {os.fsdecode(path)}" for path in paths[:10])
        super().__init__(
            f"these paths are ignored:{shown}",
            hint=f"dsvc check-ignore -v {os.fsdecode(paths[0])} names the rule; dsvc add -f adds them all the same",
            details={"paths": [os.fsdecode(path) for path in paths]},
        )


class AddResult(NamedTuple):
    """What was stored, as changes against what was known before, and what could not be taken.

    `keys` are new files that were taken along with a folder and look like private keys, each with the kind of key.
    """

    changes: tuple[Change, ...]
    skipped: tuple[Skipped, ...]
    files: int
    size: int
    keys: tuple[tuple[bytes, str], ...] = ()


def add(
    workspace: Workspace,
    paths: Sequence[bytes],
    *,
    force: bool = False,
    repair: bool = False,
    dry_run: bool = False,
) -> AddResult:
    """Store these files and folders as they are now; a later commit takes them without a question.

    The files are known afterwards: ignore rules do not hide them any more, and gc keeps their content. `force` takes
    ignored ones too. A file that is gone is noted as removed. `repair` reads files again whose content is known to be
    unchanged, and stores what of it the store has lost. Safe to call again.

    Raises:
        NoSuchPathError: for a path that is nowhere. IgnoredPathError: for one that is ignored, without `force`.
        BehindLinkError: for one that goes through a symbolic link.
        UnreadableError, UnstableFileError: naming a file that could not be taken; nothing is changed then.
    """
    rules = workspace.ignore_rules()
    index = workspace.index()
    store = workspace.repo.store
    _check(workspace, index.tree, paths, None if force else rules)
    if repair:
        _distrust(workspace, index, paths)
    if dry_run:
        store.wholes = None  # under store.link=hardlink the working copy's file would be exchanged
    noted = KeysNoted()
    workspace.progress.start("Storing files")
    recorder = Recorder(
        store,
        workspace.root_bytes,
        index,
        IgnoreRules.nothing(workspace.root_bytes) if force else rules,
        stamp=workspace.clock(),
        paths=paths,
        datasets=workspace.datasets(),
        progress=workspace.progress,
        guard=noted,
    )
    try:
        recorded = recorder.run()
        changes = tuple(diff_trees(store, index.tree, recorded.tree, paths=paths))
        if dry_run:
            store.abandon()
        elif changes or (recorded.files and store.flush()):
            _publish(workspace, paths, recorded)
        else:
            workspace.write_index(recorded.index)
    except BaseException:
        store.abandon()
        raise
    finally:
        workspace.progress.finish()
    keys = tuple((path, kind) for path, kind in sorted(noted.found.items()) if path not in paths)
    return AddResult(changes, tuple(recorded.skipped), recorded.files, recorded.size, keys)


def _check(workspace: Workspace, tree: TreeId, paths: Sequence[bytes], rules: IgnoreRules | None) -> None:
    ignored: list[bytes] = []
    for path in paths:
        if not path or trees.lookup(workspace.repo.store, tree, path) is not None:
            continue
        refuse_behind_link(path, workspace.place)
        full = workspace.place(path)
        if not os.path.lexists(full):
            raise NoSuchPathError(path)
        is_directory = os.path.isdir(full) and not os.path.islink(full)
        if rules is not None and rules.ignored(path, is_directory=is_directory):
            ignored.append(path)
    if ignored:
        raise IgnoredPathError(ignored)


def _distrust(workspace: Workspace, index: Index, paths: Sequence[bytes]) -> None:
    """Let the index know nothing of these files, so that they are read again."""
    store = workspace.repo.store
    for path in paths:
        entry = trees.lookup(store, index.tree, path)
        if entry is None:
            continue
        prefix = path + b"/" if path else b""
        below = trees.walk(store, entry.id, prefix) if entry.kind == EntryKind.TREE else [(path, entry)]
        files = [p for p, e in below if e.kind in CONTENT_KINDS and index.get(p) not in (None, ABSENT)]
        index.update(dict.fromkeys(files, UNKNOWN))


def _publish(workspace: Workspace, paths: Sequence[bytes], recorded: Recorded) -> None:
    transaction = workspace.transaction()
    keep_index_tree(workspace, transaction, recorded.tree)
    shown = ", ".join(os.fsdecode(path) or "." for path in paths[:3]) + (" …" if len(paths) > 3 else "")
    workspace.publish(transaction, workspace.act("add", f"add: {shown.encode('utf-8', 'replace').decode()}"))
    workspace.write_index(recorded.index)
