"""What a word names whose lineage is asked for: a file, a run or a commit."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from dsvc.actions.changes import describe_file
from dsvc.actions.deployments import find_deployment
from dsvc.actions.model import find_model, read_version
from dsvc.actions.revision import revision_context
from dsvc.actions.runs import UnknownRunError, find_run
from dsvc.errors import DsvcError, RequestError, UsageError
from dsvc.history.revisions import resolve
from dsvc.objects import trees
from dsvc.objects.ids import CommitId, Kind, ObjectId
from dsvc.objects.tree import CONTENT_KINDS, Entry, EntryKind
from dsvc.refs.names import DEPLOYMENTS, MODELS
from dsvc.repo.fetched import content_of
from dsvc.runs.index import RunIndex
from dsvc.runs.names import RunKey
from dsvc.runs.pins import read_pins
from dsvc.workspace import Workspace
from dsvc.worktree.index import changed_at, signature

_PINNED: Final = re.compile(r"(.+)@([0-9a-fA-F]{4,64})", re.DOTALL)


class UnknownTargetError(RequestError):
    """A word that names no file, no run and no revision."""


@dataclass(frozen=True, slots=True)
class FileTarget:
    """Content at a path."""

    path: bytes
    kind: EntryKind
    id: ObjectId
    size: int


@dataclass(frozen=True, slots=True)
class RunTarget:
    """A run."""

    key: RunKey


@dataclass(frozen=True, slots=True)
class CommitTarget:
    """A commit."""

    id: CommitId


Target: TypeAlias = FileTarget | RunTarget | CommitTarget


def find_targets(
    workspace: Workspace, index: RunIndex, names: Sequence[str], *, paths: Sequence[bytes] = ()
) -> list[Target]:
    """Return what words name, and `paths` inside the repository.

    A path means what stands there now in the working copy, else in HEAD, else what a run wrote there last; of a folder
    all files in it that some run wrote. A file comes before a model, a run and a revision of the same name.

    Raises:
        UnknownTargetError: for a word or path that is none of them. UnknownRunError, UnknownRevisionError.
    """
    found: list[Target] = []
    for path in paths:
        here = [*_at_path(workspace, index, path)]
        if not here:
            raise UnknownTargetError(
                f"there is no file {os.fsdecode(path)}, and no run wrote one", hint="dsvc runs lists what was run"
            )
        found += here
    for name in names:
        found += _named(workspace, index, name)
    return found


def _named(workspace: Workspace, index: RunIndex, name: str) -> list[Target]:
    pinned = _PINNED.fullmatch(name)
    if pinned is not None:
        here = _pinned(workspace, index, os.fsencode(pinned[1]), pinned[2].lower())
        if here is not None:
            return [here]
    model = _model(workspace, name)
    if model is not None:
        return [model]
    try:
        return [RunTarget(find_run(workspace, name))]
    except UnknownRunError as error:
        unknown = error
    context = revision_context(workspace)
    try:
        resolved = resolve(context, name)
    except DsvcError as error:
        # What is wrong with HEAD~9 or main@{u} is known there; a plain word is rather a run or a file that is not yet.
        told = error.hint if any(sign in name for sign in "~^@:{") else ""
        raise UnknownTargetError(
            f"{name!r} names no file, no run and no revision",
            hint=told or "dsvc runs lists runs, dsvc ls lists files, dsvc branch -a branches",
        ) from unknown
    if ":" in name:
        path = os.fsencode(name.partition(":")[2]).strip(b"/")
        tree = workspace.repo.commit(CommitId(_commit(workspace, name.partition(":")[0]))).tree
        entry = trees.lookup(workspace.repo.store, tree, path)
        if entry is not None:
            return _of_entry(workspace, index, path, entry)
    kind, object_id = workspace.repo.peel(resolved.kind, resolved.id)
    if kind != Kind.COMMIT:
        raise UnknownTargetError(f"{name!r} is no file, no run and no commit", hint="a tree or tag has no lineage")
    return [CommitTarget(CommitId(object_id))]


def _model(workspace: Workspace, name: str) -> FileTarget | None:
    """Return the file or folder of a version of a model, or of what is deployed; None where nothing is named so."""
    if name.startswith(DEPLOYMENTS):
        served = read_version(workspace, find_deployment(workspace, name).deployment.model_id)
        if served is None:
            raise UnknownTargetError(f"the model of {name} is not in this repository", hint="dsvc fetch brings it")
        return FileTarget(served.path, EntryKind(served.entry.kind), ObjectId(served.entry.id), served.entry.size)
    if next(workspace.view().items(MODELS), None) is None:
        return None
    try:
        version = find_model(workspace, name).version
    except (RequestError, UsageError):
        return None
    return FileTarget(version.path, EntryKind(version.entry.kind), ObjectId(version.entry.id), version.entry.size)


def _commit(workspace: Workspace, text: str) -> ObjectId:
    resolved = resolve(revision_context(workspace), text or "HEAD")
    return workspace.repo.peel(resolved.kind, resolved.id)[1]


def _at_path(workspace: Workspace, index: RunIndex, path: bytes) -> Iterator[Target]:
    entry = present_entry(workspace, path)
    full = workspace.place(path)
    if entry is None and os.path.isdir(full):
        prefix = path + b"/" if path else b""
        for written in sorted({p for p, _ in index.written_files() if p.startswith(prefix)}):
            now = present_entry(workspace, written)
            if now is not None:
                yield from _of_entry(workspace, index, written, now)
        return
    if entry is None:
        entry = trees.lookup(workspace.repo.store, workspace.head_tree(), path)
    if entry is not None:
        yield from _of_entry(workspace, index, path, entry)
        return
    for key in index.written(path):
        pin = _pin_of(workspace, key, path)
        if pin is not None:
            yield pin
            return


def _of_entry(workspace: Workspace, index: RunIndex, path: bytes, entry: Entry) -> list[Target]:
    if entry.kind == EntryKind.REFERENCE:
        entry = content_of(workspace.repo, entry)
    if entry.kind != EntryKind.TREE:
        return [FileTarget(path, EntryKind(entry.kind), ObjectId(entry.id), entry.size)]
    written, store = set(index.written_files()), workspace.repo.store
    return [
        FileTarget(below, EntryKind(one.kind), ObjectId(one.id), one.size)
        for below, one in trees.walk(store, entry.id, path + b"/" if path else b"")
        if one.kind in CONTENT_KINDS and (below, one.id) in written
    ]


def _pin_of(workspace: Workspace, key: RunKey, path: bytes) -> FileTarget | None:
    from dsvc.actions.runs import get_run

    run, _ = get_run(workspace, key)
    for pin in read_pins(workspace.repo.store, run.outputs):
        if pin.path == path and pin.id is not None:
            return FileTarget(path, pin.kind or EntryKind.FILE, pin.id, pin.size)
    return None


def _pinned(workspace: Workspace, index: RunIndex, path: bytes, digits: str) -> FileTarget | None:
    """Return the content with this beginning of an id that a path had in any run, or has now."""
    now = present_entry(workspace, path)
    if now is not None and now.id.hex().startswith(digits):
        return FileTarget(path, EntryKind(now.kind), ObjectId(now.id), now.size)
    for written, file in index.written_files():
        if written == path and file.hex().startswith(digits):
            for meeting in index.meetings([file], outputs=True).get(file, ()):
                if meeting.path == path:
                    return _pin_of(workspace, meeting.key, path)
    return None


def present_entry(workspace: Workspace, path: bytes) -> Entry | None:
    """Return what stands at a path of the working copy now, None for a folder and where there is nothing.

    A file that did not change since it was last looked at is not read.
    """
    full = workspace.place(path)
    try:
        st = os.lstat(full)
    except OSError:
        return None
    index = workspace.index()
    sig = index.get(path)
    if sig == signature(st) and changed_at(sig) < index.stamp:
        return trees.lookup(workspace.repo.store, index.tree, path)
    root = workspace.root_bytes
    return describe_file(root, os.path.relpath(full, root))
