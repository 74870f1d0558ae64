"""Write history into one file, look at such a file, and say whether something can be taken from it here."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dsvc.actions.prerequisites import missing_prerequisites
from dsvc.actions.revision import ancestry_below, commit_of
from dsvc.atomic import sync_directory, temporary_name
from dsvc.errors import IntegrityError, RequestError
from dsvc.history.ancestry import Ancestry
from dsvc.history.walk import walk
from dsvc.objects.ids import CommitId, Kind, ObjectId
from dsvc.objects.store import ObjectMissingError, ObjectStore
from dsvc.objects.verify import verify_objects, verify_outline
from dsvc.progress import Progress
from dsvc.refs.names import HEADS, TAGS, head_of, short_name
from dsvc.refs.view import Direct, Ref, Symbolic
from dsvc.remotes.bundle_file import BundleBackend, BundleHeader, BundleWriter, Prerequisite
from dsvc.remotes.transfer.outbox import Outbox
from dsvc.remotes.transfer.purged import Spared
from dsvc.remotes.transfer.selection import Noting, Stored, Walk
from dsvc.remotes.transfer.sending import Sent, cargo, send
from dsvc.repo.format import CURRENT, REFERENCES
from dsvc.repo.reachable import Marks, mark, references
from dsvc.repo.repository import Repository
from dsvc.repo.tombstones import PURGED, purged_files
from dsvc.storage.local import LocalBackend
from dsvc.workspace import MAIN, Workspace


class NothingToBundleError(RequestError):
    """Everything that was asked for was left out again."""


@dataclass(frozen=True, slots=True)
class BundleResult:
    """A bundle that was written: its length in bytes, refs, what it builds on, and what is in it."""

    path: Path
    size: int
    header: BundleHeader
    sent: Sent


@dataclass(frozen=True, slots=True)
class BundleCheck:
    """A bundle that is sound; `missing` are the commits it builds on that are not here."""

    header: BundleHeader
    size: int
    objects: int
    missing: tuple[Prerequisite, ...]


def create_bundle(
    workspace: Workspace,
    path: Path,
    revisions: Sequence[str] = (),
    *,
    since: Sequence[str] = (),
    every: bool = False,
) -> BundleResult:
    """Write refs and everything that they reach into a new file, whole or not at all; a file of that name is replaced.

    `revisions` are names of branches and tags, `A..B` (B, without what A reaches) and `^A`; without any it is the
    current branch, with `every` all branches and tags. What the commits in `since` reach is left out: whoever takes
    from the bundle must have them.

    Raises:
        NothingToBundleError: when nothing is left. RequestError: for a name that is no branch or tag, and where the
            history is not complete here, or the file cannot be made. OSError: when the disk is full.
    """
    refs, excluded = _choose(workspace, revisions, since=since, every=every)
    store = workspace.repo.store
    tips = [(ref.kind, bytes(ref.id)) for ref in refs.values()]
    peeled = [workspace.repo.peel(kind, ObjectId(i)) for kind, i in tips]
    commits = [CommitId(i) for kind, i in peeled if kind == Kind.COMMIT]
    ancestry = ancestry_below(workspace, [*commits, *excluded])
    steps = walk(ancestry, commits, hidden=sorted(excluded), order="topo") if commits else ()
    included = {step.id for step in steps}
    if excluded and not included:
        raise NothingToBundleError("there is nothing new to bundle", hint="leave --since out, or commit something")
    builds_on = _boundary(ancestry, commits, included)
    left_out = _left_out(workspace, included)
    marks = Marks(store.packs, workspace.repo.head.packs.packs)
    header = BundleHeader(
        tuple(refs.items()),
        tuple(Prerequisite(i, "" if i in left_out else _subject(ancestry, i)) for i in sorted({*builds_on, *left_out})),
        tuple(sorted(CURRENT.read)),
    )
    scratch = workspace.common / "transfers" / temporary_name("bundle")
    unfinished = path.with_name(temporary_name(path.name))
    if path.is_dir():
        raise RequestError(f"{path} is a folder", hint="name a file for the bundle")
    try:
        writer = BundleWriter(unfinished, header)
    except OSError as error:
        raise RequestError(f"{path} cannot be written: {error.strerror}", hint="name another file") from error
    try:
        target = ObjectStore(writer, lambda: _made(scratch))
        has = _boundary_has(workspace, ancestry, builds_on)
        ours = purged_files(workspace.repo)
        try:
            if store.bring is not None:  # a partial clone
                noting = Noting(Spared(Stored(store, marks, has), store, target, ours=ours, theirs=()))
                Walk(store, noting).add(ancestry, tips, known=excluded)
                store.complete(noting.lacking)
                marks = Marks(store.packs, workspace.repo.head.packs.packs)
            taker = Spared(Stored(store, marks, has), store, target, ours=ours, theirs=())
            Walk(store, taker).add(ancestry, tips, known=excluded)
        except ObjectMissingError as error:
            raise RequestError(
                f"what is to be bundled is not complete here: {error.message}", hint="dsvc fsck", details=error.details
            ) from error
        sent = _fill(workspace, target, marks, Outbox(_made(scratch / "out"), str(path)))
        notes = _notes(workspace, target, taker.left)
        _publish(workspace, writer, target, {**refs, **notes}, name=path.name)
        size = writer.finish()
        os.replace(unfinished, path)
        sync_directory(path.parent)
    except BaseException:
        writer.abandon()
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return BundleResult(path, size, header, sent)


def verify_bundle(path: Path, workspace: Workspace | None, *, progress: Progress) -> BundleCheck:
    """Compare a bundle with its hash, and every object in it with its id; say which commits it needs are not here.

    Raises:
        BundleDamagedError, IntegrityError: when something is wrong with it.
    """
    backend = BundleBackend(path)
    try:
        repo = Repository.open(backend, Path)
        view = repo.view()
        for name, ref in backend.header.refs:
            if view.get(name) != ref:
                raise IntegrityError(f"{path} says of {short_name(name)} two different things")
        refs = repo.head.packs.packs
        progress.start("Checking packs", total_bytes=sum(ref.size for ref in refs), unit="objects")
        faults = [f for ref in refs if (f := verify_outline(backend, repo.store.packs, ref)) is not None]
        for fault in faults or verify_objects(
            repo.store.packs,
            list(refs),
            check=_well_formed,
            advance=lambda count, size: progress.advance(items=count, size=size),
        ):
            raise IntegrityError(f"{path} cannot be used: {fault.message}", hint="let it be made anew")
        progress.finish()
        missing = missing_prerequisites(workspace, backend.header.prerequisites) if workspace is not None else ()
        size = path.stat().st_size
        return BundleCheck(backend.header, size, sum(ref.objects for ref in refs), tuple(missing))
    finally:
        backend.close()


def _well_formed(kind: Kind, payload: bytes) -> None:
    for _ in references(kind, payload):
        pass


def _choose(
    workspace: Workspace, revisions: Sequence[str], *, since: Sequence[str], every: bool
) -> tuple[dict[str, Direct], list[CommitId]]:
    """Return the refs that are meant, and the commits whose history is left out."""
    view = workspace.view()
    refs: dict[str, Direct] = {}
    excluded = [commit_of(workspace, text) for text in since]
    if every:
        for prefix in (HEADS, TAGS):
            refs |= {name: ref for name, ref in view.items(prefix) if isinstance(ref, Direct)}
    for word in revisions or ([] if every else ["HEAD"]):
        before, dots, name = word.rpartition("..") if not word.startswith("^") else (word[1:], "^", "")
        if dots:
            excluded.append(commit_of(workspace, before or "HEAD"))
        if dots != "^":
            full, ref = _named(workspace, name or "HEAD")
            refs[full] = ref
    if not refs:
        raise NothingToBundleError("no branch or tag is meant", hint="dsvc bundle create FILE BRANCH, or --all")
    return dict(sorted(refs.items())), excluded


def _named(workspace: Workspace, name: str) -> tuple[str, Direct]:
    view = workspace.view()
    if name == "HEAD":
        head = workspace.head()
        if head.branch is None or head.commit_id is None:
            raise RequestError("HEAD is on no branch with a commit", hint="dsvc bundle create FILE BRANCH, or --all")
        return head.branch, Direct(Kind.COMMIT, ObjectId(head.commit_id))
    plain = name.removeprefix("refs/")
    for full in (plain, HEADS + plain, TAGS + plain):
        ref = view.resolve(full)[1] if full.startswith((HEADS, TAGS)) else None
        if ref is not None:
            return full, ref
    raise RequestError(
        f"there is no branch or tag {name}", hint=f"dsvc branch NAME {name} gives a commit a name to be bundled under"
    )


def _boundary(ancestry: Ancestry, tips: Iterable[CommitId], included: set[CommitId]) -> list[CommitId]:
    """Return the commits that are left out and that what is included, or a ref, builds on."""
    parents = (ancestry.id(p) for i in sorted(included) for p in ancestry.parents(ancestry.node(i)))
    return sorted({i for i in (*parents, *tips) if i not in included})


def _left_out(workspace: Workspace, included: Iterable[CommitId]) -> list[CommitId]:
    """Return the parents of what is included that were left out of this shallow clone: whoever takes it has them."""
    cut = workspace.repo.cut
    return sorted({p for i in included for p in workspace.repo.commit(i).parents if p in cut}) if cut else []


def _boundary_has(
    workspace: Workspace, ancestry: Ancestry, builds_on: Iterable[CommitId]
) -> Callable[[bytes, Kind], bool]:
    """Return what says whether the trees of the commits that are left out hold an object."""
    store = workspace.repo.store
    there = Marks(store.packs, workspace.repo.head.packs.packs)
    roots = [(Kind.TREE, bytes(ancestry.tree(ancestry.node(i)))) for i in builds_on]
    mark(store, there, roots, failed=lambda _target, _error: None)
    return lambda wanted, kind: there.is_marked((kind, wanted))


def _subject(ancestry: Ancestry, commit_id: CommitId) -> str:
    return ancestry.commit(ancestry.node(commit_id)).message.partition("\n")[0][:200]


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _fill(workspace: Workspace, target: ObjectStore, marks: Marks, outbox: Outbox) -> Sent:
    backend = workspace.repo.backend
    assert isinstance(backend, LocalBackend), "a workspace's repository lies on disk"
    return send(
        workspace.repo.store,
        target,
        cargo(marks, workspace.repo.head.packs.packs),
        outbox,
        whole=lambda ref: backend.root / ref.key,
        jobs=1,
        progress=workspace.progress,
    )


def _notes(workspace: Workspace, target: ObjectStore, files: Iterable[bytes]) -> dict[str, Direct]:
    """Put the notes on erased files into the bundle; return their refs."""
    view, store = workspace.view(), workspace.repo.store
    notes: dict[str, Direct] = {}
    for file_id in sorted(files):
        ref = view.get(PURGED + file_id.hex())
        if isinstance(ref, Direct):
            state = target.put(Kind.STATE, store.get(ref.id, Kind.STATE))
            notes[PURGED + file_id.hex()] = Direct(Kind.STATE, state)
    return notes


def _publish(
    workspace: Workspace, writer: BundleWriter, target: ObjectStore, refs: dict[str, Direct], *, name: str
) -> None:
    """Write the one operation of the bundle, over the packs that are in it."""
    packs = tuple(target.flush())
    branch = workspace.head().branch
    default = branch if branch in refs else next((name for name in refs if name.startswith(HEADS)), None)
    named: dict[str, Ref] = dict(refs)
    if default is not None:
        named[head_of(MAIN)] = Symbolic(default)
    act = workspace.act("bundle", f"bundle: {name}")
    repo = Repository.create(writer, target.staging, act=act, refs=named, packs=packs)
    if workspace.repo.needs(REFERENCES):
        repo.need(REFERENCES)
