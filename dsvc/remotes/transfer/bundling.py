"""Write refs with everything that they reach, or that others lack of it, into a bundle file."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from dsvc.atomic import sync_directory, temporary_name
from dsvc.errors import RequestError
from dsvc.history.ancestry import Ancestry
from dsvc.history.walk import walk
from dsvc.objects.ids import CommitId, Kind, ObjectId
from dsvc.objects.packlist import PackRef
from dsvc.objects.store import ObjectMissingError, ObjectStore
from dsvc.progress import Progress
from dsvc.refs.names import HEADS, head_of
from dsvc.refs.transaction import Act
from dsvc.refs.view import Direct, Ref, Symbolic
from dsvc.remotes.bundle_file import BundleHeader, BundleWriter, Prerequisite
from dsvc.remotes.transfer.outbox import Outbox
from dsvc.remotes.transfer.purged import Spared
from dsvc.remotes.transfer.selection import Noting, Stored, Walk
from dsvc.remotes.transfer.sending import Sent, cargo, send
from dsvc.repo.format import CURRENT, REFERENCES
from dsvc.repo.reachable import Marks, mark
from dsvc.repo.repository import Repository
from dsvc.repo.tombstones import PURGED, purged_files


class NothingToBundleError(RequestError):
    """Everything that was asked for was left out again."""


@dataclass(frozen=True, slots=True)
class BundleResult:
    """A bundle that was written: its length in bytes, refs, what it builds on, and what is in it."""

    path: Path
    size: int
    header: BundleHeader
    sent: Sent


class Sources(NamedTuple):
    """Where a bundle comes from: a repository, its commits as nodes, and a function that gives the file of a pack.

    `scratch` is a folder for what is on its way, which does not exist yet; `branch` the one that is checked out where
    the bundle is cloned, if it is in it.
    """

    repo: Repository
    ancestry: Ancestry
    file_of: Callable[[PackRef], Path]
    scratch: Path
    branch: str | None
    worktree: str
    act: Act
    progress: Progress


def write_bundle(
    sources: Sources,
    path: Path,
    refs: Mapping[str, Direct],
    excluded: Sequence[CommitId] = (),
    *,
    using: Sequence[CommitId] = (),
) -> BundleResult:
    """Write refs and everything that they reach into a new file, whole or not at all; a file of that name is replaced.

    What the commits in `excluded` reach is left out: whoever takes from the bundle must have them. So it is with the
    files of `using`.

    Raises:
        NothingToBundleError: when nothing is left. RequestError: where the history is not complete here, or the file
            cannot be made. OSError: when the disk is full.
    """
    repo, ancestry, store = sources.repo, sources.ancestry, sources.repo.store
    tips = [(ref.kind, bytes(ref.id)) for ref in refs.values()]
    peeled = [repo.peel(kind, ObjectId(i)) for kind, i in tips]
    commits = [CommitId(i) for kind, i in peeled if kind == Kind.COMMIT]
    steps = walk(ancestry, commits, hidden=sorted(excluded), order="topo") if commits else ()
    included = {step.id for step in steps}
    if excluded and not included and all(ref.kind == Kind.COMMIT for ref in refs.values()):
        raise NothingToBundleError("there is nothing new to bundle", hint="leave --since out, or commit something")
    builds_on = sorted({*_boundary(ancestry, commits, included), *using})
    left_out = _left_out(repo, included)
    marks = Marks(store.packs, repo.head.packs.packs)
    header = BundleHeader(
        tuple(refs.items()),
        tuple(Prerequisite(i, "" if i in left_out else _subject(ancestry, i)) for i in sorted({*builds_on, *left_out})),
        tuple(sorted(CURRENT.read)),
    )
    unfinished = path.with_name(temporary_name(path.name))
    if path.is_dir():
        raise RequestError(f"{path} is a folder", hint="name a file for the bundle")
    try:
        writer = BundleWriter(unfinished, header)
    except OSError as error:
        raise RequestError(f"{path} cannot be written: {error.strerror}", hint="name another file") from error
    try:
        target = ObjectStore(writer, lambda: _made(sources.scratch))
        has = _boundary_has(sources, builds_on)
        ours = purged_files(repo)
        try:
            if store.bring is not None:  # a partial clone
                noting = Noting(Spared(Stored(store, marks, has), store, target, ours=ours, theirs=()))
                Walk(store, noting).add(ancestry, tips, known=excluded)
                store.complete(noting.lacking)
                marks = Marks(store.packs, repo.head.packs.packs)
            taker = Spared(Stored(store, marks, has), store, target, ours=ours, theirs=())
            Walk(store, taker).add(ancestry, tips, known=excluded)
        except ObjectMissingError as error:
            raise RequestError(
                f"what is to be bundled is not complete here: {error.message}", hint="dsvc fsck", details=error.details
            ) from error
        sent = send(
            store,
            target,
            cargo(marks, repo.head.packs.packs),
            Outbox(_made(sources.scratch / "out"), str(path)),
            whole=sources.file_of,
            jobs=1,
            progress=sources.progress,
        )
        notes = _notes(repo, target, taker.left)
        _publish(sources, writer, target, {**refs, **notes})
        size = writer.finish()
        os.replace(unfinished, path)
        sync_directory(path.parent)
    except BaseException:
        writer.abandon()
        raise
    finally:
        shutil.rmtree(sources.scratch, ignore_errors=True)
    return BundleResult(path, size, header, sent)


def _boundary(ancestry: Ancestry, tips: Iterable[CommitId], included: set[CommitId]) -> list[CommitId]:
    """Return the commits that are left out and that what is included, or a ref, builds on."""
    parents = (ancestry.id(p) for i in sorted(included) for p in ancestry.parents(ancestry.node(i)))
    return sorted({i for i in (*parents, *tips) if i not in included})


def _left_out(repo: Repository, included: Iterable[CommitId]) -> list[CommitId]:
    """Return the parents of what is included that were left out of this shallow clone: whoever takes it has them."""
    cut = repo.cut
    return sorted({p for i in included for p in repo.commit(i).parents if p in cut}) if cut else []


def _boundary_has(sources: Sources, builds_on: Iterable[CommitId]) -> Callable[[bytes, Kind], bool]:
    """Return what says whether the trees of the commits that are left out hold an object."""
    store, ancestry = sources.repo.store, sources.ancestry
    there = Marks(store.packs, sources.repo.head.packs.packs)
    roots = [(Kind.TREE, bytes(ancestry.tree(ancestry.node(i)))) for i in builds_on]
    mark(store, there, roots, failed=lambda _target, _error: None)
    return lambda wanted, kind: there.is_marked((kind, wanted))


def _subject(ancestry: Ancestry, commit_id: CommitId) -> str:
    return ancestry.commit(ancestry.node(commit_id)).message.partition("\n")[0][:200]


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _notes(repo: Repository, target: ObjectStore, files: Iterable[bytes]) -> dict[str, Direct]:
    """Put the notes on erased files into the bundle; return their refs."""
    view, store = repo.view(), repo.store
    notes: dict[str, Direct] = {}
    for file_id in sorted(files):
        ref = view.get(PURGED + file_id.hex())
        if isinstance(ref, Direct):
            state = target.put(Kind.STATE, store.get(ref.id, Kind.STATE))
            notes[PURGED + file_id.hex()] = Direct(Kind.STATE, state)
    return notes


def _publish(sources: Sources, writer: BundleWriter, target: ObjectStore, refs: dict[str, Direct]) -> None:
    """Write the one operation of the bundle, over the packs that are in it."""
    packs = tuple(target.flush())
    branch = next((name for name in refs if name.startswith(HEADS)), None)
    default = sources.branch if sources.branch in refs else branch
    named: dict[str, Ref] = dict(refs)
    if default is not None:
        named[head_of(sources.worktree)] = Symbolic(default)
    repo = Repository.create(writer, target.staging, act=sources.act, refs=named, packs=packs)
    if sources.repo.needs(REFERENCES):
        repo.need(REFERENCES)
