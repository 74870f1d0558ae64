"""Write history into one file, look at such a file, and say whether something can be taken from it here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dsvc.actions.prerequisites import missing_prerequisites
from dsvc.actions.revision import ancestry_below, commit_of
from dsvc.atomic import temporary_name
from dsvc.errors import IntegrityError, RequestError
from dsvc.objects.ids import CommitId, Kind, ObjectId
from dsvc.objects.verify import verify_objects, verify_outline
from dsvc.progress import Progress
from dsvc.refs.names import HEADS, TAGS, short_name
from dsvc.refs.view import Direct
from dsvc.remotes.bundle_file import BundleBackend, BundleHeader, Prerequisite
from dsvc.remotes.transfer.bundling import BundleResult, NothingToBundleError, Sources, write_bundle
from dsvc.repo.reachable import references
from dsvc.repo.repository import Repository
from dsvc.storage.local import LocalBackend
from dsvc.workspace import MAIN, Workspace


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
    backend = workspace.repo.backend
    assert isinstance(backend, LocalBackend), "a workspace's repository lies on disk"
    peeled = [workspace.repo.peel(ref.kind, ref.id) for ref in refs.values()]
    sources = Sources(
        workspace.repo,
        ancestry_below(workspace, [*(CommitId(i) for kind, i in peeled if kind == Kind.COMMIT), *excluded]),
        lambda ref: backend.root / ref.key,
        workspace.common / "transfers" / temporary_name("bundle"),
        workspace.head().branch,
        MAIN,
        workspace.act("bundle", f"bundle: {path.name}"),
        workspace.progress,
    )
    return write_bundle(sources, path, refs, excluded)


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
