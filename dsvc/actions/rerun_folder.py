"""A clean folder with what a run began from: its source and its inputs, as a worktree of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dsvc.actions.bring import OfflineError
from dsvc.actions.checkout import checkout
from dsvc.actions.export import FolderWriter
from dsvc.actions.lineage_target import present_entry
from dsvc.actions.worktree import Worktree, drop_worktrees, forget_folder, free_id, make_folder
from dsvc.errors import DsvcError, RemoteError, RequestError
from dsvc.objects import trees
from dsvc.objects.files import hash_content, is_small
from dsvc.objects.ids import Kind, ObjectId, TreeId
from dsvc.objects.tree import CONTENT_KINDS, Entry, EntryKind
from dsvc.refs.names import HEADS, head_of
from dsvc.refs.view import Direct, Symbolic
from dsvc.runs.pins import Pin, read_pins
from dsvc.runs.record import Run
from dsvc.workspace import Workspace
from dsvc.worktree.index import Index, parents


class InputsGoneError(RequestError):
    """Something that a run read is not to be had any more."""


@dataclass(frozen=True, slots=True)
class CleanFolder:
    """The worktree, and those inputs that are not there as the run met them: not stored, or changed outside."""

    workspace: Workspace
    lacking: tuple[bytes, ...]


@contextmanager
def clean_folder(workspace: Workspace, run: Run, path: Path, *, keep: bool) -> Iterator[CleanFolder]:
    """Make `path`, which must not be there or be empty, what a run began from; it is removed at the end unless `keep`.

    Files of the working copy come from the run's source, ignored ones from its inputs, or from the present working copy
    where they are the same there. Nothing is ever written into the present working copy.

    In a partial clone what the run read is fetched first.

    Raises:
        RequestError: when the folder is not empty, or the run's source is not stored. RemoteError: when something has
            to be fetched and cannot be.
    """
    store = workspace.repo.store
    if run.source is None or not store.has(run.source, Kind.TREE):
        raise RequestError(
            "the source of the run is not in this repository", hint="dsvc fetch brings it where it was pushed"
        )
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise RequestError(f"{path} exists and is not an empty folder", hint="choose another folder")
    if store.bring is not None:
        _fetch(workspace, run, run.source)
    made_folder = not path.exists()
    name = free_id(workspace, path.name)
    made = make_folder(workspace, path, name)
    try:
        transaction = workspace.repo.transaction()
        if run.base is not None and store.has(run.base, Kind.COMMIT):
            transaction.set(head_of(name), Direct(Kind.COMMIT, ObjectId(run.base)))
        else:
            transaction.set(head_of(name), Symbolic(f"{HEADS}rerun/{name}"))
        empty = trees.empty_tree(store)
        checkout(
            made,
            empty,
            run.source,
            transaction=transaction,
            verb="rerun",
            description=f"rerun: the source in {name}",
            index=Index(empty, 0),
        )
    except BaseException:
        forget_folder(workspace, path, name, whole=made_folder)
        raise
    try:
        yield CleanFolder(made, tuple(_bring_inputs(workspace, run, run.source, made)))
    finally:
        if not keep:
            drop_worktrees(workspace, [Worktree(name, path, None, None, present=True)])
            shutil.rmtree(path, ignore_errors=True)


def _fetch(workspace: Workspace, run: Run, source: TreeId) -> None:
    """Fetch what the run read, and small files, for not all that matters is read; all where reads are not known."""
    store = workspace.repo.store
    pins = [pin for pin in read_pins(store, run.inputs) if pin.id is not None and not pin.is_outside]
    places = frozenset(pin.path for pin in pins)
    unseen = any(run.observation.get(what) for what in ("programs", "unseen_libraries", "trace_cut", "refused"))
    known = run.observation.get("reads") in ("strace", "python") and not unseen
    store.complete(
        entry.id
        for path, entry in trees.walk(store, source)
        if entry.kind in CONTENT_KINDS
        and (not known or is_small(entry.size) or not places.isdisjoint((path, *parents([path]))))
    )
    others = [p.id for p in pins if p.id and p.kind in CONTENT_KINDS and trees.lookup(store, source, p.path) is None]
    try:
        store.complete(others)
    except OfflineError:
        raise
    except (RemoteError, RequestError):
        pass  # whoever needs them says which are not to be had


def _bring_inputs(workspace: Workspace, run: Run, source: TreeId, made: Workspace) -> Iterator[bytes]:
    """Write the inputs that the source has not, and yield the paths of those that are not to be had."""
    store = workspace.repo.store
    writer = FolderWriter(made.root_bytes, store, workspace.progress)
    for pin in read_pins(store, run.inputs):
        if pin.id is None or pin.kind is None:
            yield pin.path
        elif pin.is_outside:
            if _hash_of(pin.path, pin) != pin.id:
                yield pin.path
        elif trees.lookup(store, source, pin.path) is None and not _bring(workspace, pin, writer):
            yield pin.path


def _bring(workspace: Workspace, pin: Pin, writer: FolderWriter) -> bool:
    store = workspace.repo.store
    assert pin.id is not None
    assert pin.kind is not None
    try:
        if pin.kind == EntryKind.TREE:
            for path, entry in trees.walk(store, pin.id, pin.path + b"/"):
                if entry.kind in CONTENT_KINDS:
                    writer.add(path, entry)
            return True
        if store.has_file(pin.id):
            writer.add(pin.path, Entry(pin.kind, pin.id, pin.size))
            return True
        here = present_entry(workspace, pin.path)
        if here is None or here.id != pin.id:
            return False
        target = writer.place(pin.path)
        shutil.copy(workspace.place(pin.path), target)
        return _hash_of(target, pin) == pin.id
    except (DsvcError, OSError):
        return False


def _hash_of(full: bytes, pin: Pin) -> bytes | None:
    if pin.kind == EntryKind.TREE:
        return None
    try:
        with open(os.fsdecode(full), "rb", buffering=0) as file:
            return hash_content(file.read)
    except OSError:
        return None
